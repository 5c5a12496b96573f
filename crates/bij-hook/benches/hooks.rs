//! The time that the hooks add to a start: `bij-hook start` as a process, beside a program that does nothing.
//! `end` runs after the attempt, so it is not measured.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bij_core::Layout;
use bij_definition::Definitions;
use bij_hook::render_missing;
use bij_host::HostContext;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const BOOT_ID: &str = "10000000-0000-0000-0000-000000000000\n";

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("it lies below the root")).expect("the tree is ours");
    fs::write(path, text).expect("the tree is ours");
}

/// The stamp that the drop-in of `x` is rendered with.
fn stamp(root: &Path) -> String {
    let layout = Layout::system(root);
    render_missing(&HostContext::system(root), &Definitions::new(layout.clone()));
    let id = "x".parse().expect("it is a valid id");
    let text = fs::read_to_string(layout.drop_in(&id)).expect("the definition is in order");
    let (_, rest) = text.split_once("BIJ_STAMP=").expect("every drop-in has a stamp");
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

fn run(command: &mut Command) {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = quiet.status().expect("the program is there");
    assert!(status.success(), "{command:?} failed");
}

fn start(criterion: &mut Criterion) {
    let tree = tempfile::tempdir().expect("a temporary directory can be made");
    let root = tree.path();
    put(root, "proc/sys/kernel/random/boot_id", BOOT_ID);
    put(root, "proc/self/cgroup", "0::/brain.slice/brain-experiment@x.service\n");
    put(root, "sys/fs/cgroup/cgroup.controllers", "memory\n");
    put(root, "etc/brain-in-jar/experiments/x.toml", "command = [\"/bin/true\"]\n");
    put(root, "bin/true", "#!/tmp/sh\n");
    // Only the unit can see its interpreter, so it is not looked for.
    let program = fs::Permissions::from_mode(0o755);
    fs::set_permissions(root.join("bin/true"), program).expect("the tree is ours");
    let stamp = stamp(root);
    let hook = |verb: &str, invocation: u32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bij-hook"));
        command.arg("--root").arg(root).args([verb, "x"]).env_clear();
        command.env("INVOCATION_ID", format!("{invocation:032x}")).env("BIJ_STAMP", &stamp);
        command.env("SERVICE_RESULT", "success").env("EXIT_CODE", "exited").env("EXIT_STATUS", "0");
        command
    };
    let mut group = criterion.benchmark_group("start");
    let mut invocation = 0;
    group.bench_function("bij-hook start", |bencher| {
        bencher.iter_batched(
            || {
                // The previous attempt has succeeded, as before most starts.
                run(&mut hook("end", invocation));
                invocation += 1;
                invocation
            },
            |invocation| run(&mut hook("start", invocation)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("a program that does nothing", |bencher| {
        bencher.iter(|| run(&mut Command::new("/bin/true")));
    });
    group.finish();
}

criterion_group!(benches, start);
criterion_main!(benches);
