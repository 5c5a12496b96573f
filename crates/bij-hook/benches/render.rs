//! Rendering all definitions at boot, which delays all experiments. A start renders only its own.

use std::fs;

use bij_core::Layout;
use bij_definition::Definitions;
use bij_hook::render_missing;
use bij_host::HostContext;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const DEFINITION: &str = r#"
description = "One of a thousand"
command = ["/usr/bin/python3", "-u", "/opt/brain/main.py", "--seed", "7"]
environment = { HF_HOME = "/var/cache/hf" }
[limits]
memory = "8G"
cpu = "150%"
tasks = 512
[restart]
delay = "5s"
[health]
watchdog = "2min"
"#;

fn boot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render at boot");
    group.sample_size(20);
    for count in [1000, 5000] {
        let tree = tempfile::tempdir().expect("a temporary directory can be made");
        let layout = Layout::system(tree.path());
        fs::create_dir_all(layout.definitions()).expect("the tree is ours");
        for number in 0..count {
            let path = layout.definitions().join(format!("experiment_{number:04}.toml"));
            fs::write(path, DEFINITION).expect("the tree is ours");
        }
        let host = HostContext::system(tree.path());
        let definitions = Definitions::new(layout);
        let drop_ins = tree.path().join("run/systemd/system.attached");
        group.bench_function(format!("{count} definitions"), |bencher| {
            bencher.iter_batched(
                // At boot nothing is there.
                || drop(fs::remove_dir_all(&drop_ins)),
                |()| assert_eq!(render_missing(&host, &definitions).written, count),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, boot);
criterion_main!(benches);
