use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use bij_core::{Bytes, Limit};

use super::*;
use crate::{CgroupRoot, Membership, Tenure};

fn limited(memory: u64) -> JarLimits {
    JarLimits {
        memory: Some(Limit::At(Bytes::new(memory))),
        swap: Some(Limit::At(Bytes::new(0))),
        tasks: Some(Limit::At(16)),
        ..JarLimits::default()
    }
}

/// Where the scenarios of the vm lane run these tests, groups can be made, and a test that finds none
/// fails. Elsewhere the tests that need one prove nothing.
const MUST_HOLD: &str = "BIJ_TEST_CGROUPS";

/// The machine's own tree, if this process may make groups with a memory limit in it.
///
/// `BIJ_TEST_CGROUPS=delegated` says that the group of the test program was made for it alone.
fn real_parent() -> Option<ParentCgroup> {
    let must_hold = std::env::var(MUST_HOLD).ok();
    let tenure = match must_hold.as_deref() {
        Some("delegated") => Tenure::Delegated,
        _ => Tenure::Unknown,
    };
    let parent = usable_parent(tenure);
    assert!(parent.is_some() || must_hold.is_none(), "no control group can be made here");
    parent
}

fn usable_parent(tenure: Tenure) -> Option<ParentCgroup> {
    let root = CgroupRoot::open("/sys/fs/cgroup").ok()?;
    let own = Membership::of_process(Path::new("/proc"), "self").ok()?;
    let parent = ParentCgroup::open(root, &own, tenure).ok()?;
    let name = format!("bij-probe-{}-{:?}", std::process::id(), thread::current().id());
    let jar = Jar::create(&parent, &name, &limited(16 << 20)).ok()?;
    let holds = jar.missing().iter().all(|missing| missing.setting != Setting::Memory);
    jar.remove().ok()?;
    holds.then_some(parent)
}

/// A parent in a tree of plain files.
fn parent(root: &Path, own: &str) -> ParentCgroup {
    let root = CgroupRoot::open(root).unwrap();
    ParentCgroup::open(root, &Membership::parse(own), Tenure::Unknown).unwrap()
}

/// A version 2 tree of plain files whose root holds this process and hands memory down.
fn unified_tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let procs = format!("{}\n", std::process::id());
    for (name, text) in [
        ("cgroup.controllers", "memory\n"),
        ("cgroup.subtree_control", "memory\n"),
        ("cgroup.procs", procs.as_str()),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// Starts `script` inside of the jar: the shell enters by itself, then runs it.
fn inside(jar: &Jar, script: &str) -> Command {
    let mut command = Command::new("sh");
    let enter =
        r#"while [ "$1" != -- ]; do echo 0 >"$1" || exit 99; shift; done; shift; eval "$1""#;
    command.args(["-c", enter, "sh"]).args(jar.procs_files()).args(["--", script]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_greedy_child_is_killed_and_counted() {
    let Some(parent) = real_parent() else { return };
    let name = format!("bij-greedy-{}", std::process::id());
    let jar = Jar::create(&parent, &name, &limited(8 << 20)).unwrap();
    let status = inside(&jar, "exec tail /dev/zero").status().unwrap();
    assert_eq!(status.signal(), Some(9), "{status}");
    let reading = jar.cgroup().read();
    assert_eq!(reading.oom_kills, Some(1));
    // Linux 6.18 leaves memory.failcnt of version 1 at 0, so only version 2 can be held to it.
    let hits = reading.memory_limit_hits.unwrap();
    assert!(hits > 0 || parent.root().hierarchy() != Hierarchy::Unified);
    assert_eq!(reading.resources.memory_max, Some(Limit::At(Bytes::new(8 << 20))));
    assert!(reading.resources.cpu_usage_nsec.is_some_and(|used| used > 0));
    if let Some(peak) = reading.resources.memory_peak {
        assert_eq!(peak, Bytes::new(8 << 20));
    }
    jar.remove().unwrap();
}

#[test]
fn everybody_in_the_jar_is_killed_and_the_jar_can_go() {
    let Some(parent) = real_parent() else { return };
    let name = format!("bij-kill-{}", std::process::id());
    let jar = Jar::create(&parent, &name, &limited(64 << 20)).unwrap();
    let mut child =
        inside(&jar, "sleep 600 & echo up; exec sleep 600").stdout(Stdio::piped()).spawn().unwrap();
    let mut up = [0; 3];
    io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    assert_eq!(jar.cgroup().processes().len(), 2);
    let again = Jar::create(&parent, &name, &limited(64 << 20));
    assert!(matches!(again, Err(JarError::Occupied { .. })), "{again:?}");
    jar.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    jar.remove().unwrap();
}

#[test]
fn a_name_cannot_leave_the_parent() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("memory")).unwrap();
    let parent = parent(dir.path(), "4:memory:/\n");
    for name in ["..", "a/b", "", "."] {
        let made = Jar::create(&parent, name, &JarLimits::default());
        assert!(matches!(made, Err(JarError::Name(_))), "{name:?}");
    }
}

#[test]
fn what_is_missing_is_said_for_each_limit() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("memory")).unwrap();
    // No file system of the kernel here, so the directory stays empty: nothing has an effect.
    let parent = parent(dir.path(), "4:memory:/host/only\n");
    let jar = Jar::create(&parent, "x", &limited(1 << 20)).unwrap();
    let missing: Vec<_> = jar.missing().iter().map(|missing| missing.setting).collect();
    assert_eq!(missing, [Setting::Memory, Setting::Swap, Setting::Tasks]);
    assert_eq!(jar.procs_files(), [dir.path().join("memory/x/cgroup.procs")]);
    jar.remove().unwrap();
}

#[test]
fn a_tree_that_cannot_be_written_is_named() {
    let dir = unified_tree();
    fs::write(dir.path().join("x"), "in the way").unwrap();
    let made = Jar::create(&parent(dir.path(), "0::/\n"), "x", &JarLimits::default());
    let Err(JarError::NotWritable { path, .. }) = made else { panic!("{made:?}") };
    assert_eq!(path, dir.path().join("x"));
    let nowhere = tempfile::tempdir().unwrap();
    fs::create_dir(nowhere.path().join("memory")).unwrap();
    let made = Jar::create(&parent(nowhere.path(), ""), "x", &JarLimits::default());
    assert!(matches!(made, Err(JarError::NoPlace { .. })), "{made:?}");
}

#[test]
fn a_freezer_is_used_where_there_is_one() {
    let dir = unified_tree();
    let make = || Jar::create(&parent(dir.path(), "0::/\n"), "x", &JarLimits::default()).unwrap();
    let jar = make();
    assert!(!jar.set_frozen(true).unwrap(), "no cgroup.freeze");
    assert_eq!(jar.cgroup().is_frozen(), None);
    // What the kernel would say at once.
    let put = |name, text| fs::write(dir.path().join("x").join(name), text).unwrap();
    put("cgroup.freeze", "0\n");
    put("cgroup.events", "populated 1\nfrozen 1\n");
    assert!(jar.set_frozen(true).unwrap());
    assert_eq!(fs::read_to_string(dir.path().join("x/cgroup.freeze")).unwrap(), "1");
    assert_eq!(jar.cgroup().is_frozen(), Some(true));
    let missing = jar.set_cpu(Limit::Max).unwrap_err();
    assert_eq!(missing.setting, Setting::Cpu, "no cpu.max, as on JetPack 6");
    put("cpu.max", "max 100000\n");
    jar.set_cpu(Limit::At("50%".parse().unwrap())).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("x/cpu.max")).unwrap(), "50000 100000");
}
