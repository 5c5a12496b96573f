use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use bij_core::{Bytes, Limit};

use super::*;
use crate::{CgroupRoot, Delegation, Membership};

fn limited(memory: u64) -> CgroupLimits {
    CgroupLimits {
        memory: Some(Limit::At(Bytes::new(memory))),
        swap: Some(Limit::At(Bytes::new(0))),
        tasks: Some(Limit::At(16)),
        ..CgroupLimits::default()
    }
}

/// Set by the scenarios of the vm lane, where groups can be created: without one, a test fails. Elsewhere a
/// test that needs a group and has none passes without a check.
const MUST_HOLD: &str = "BIJ_TEST_CGROUPS";

/// A parent in the machine's tree, if this process can create groups with a memory limit in it.
///
/// `BIJ_TEST_CGROUPS=delegated` means that the group of the test program was created for it alone.
fn real_parent() -> Option<ParentCgroup> {
    let must_hold = std::env::var(MUST_HOLD).ok();
    let delegation = match must_hold.as_deref() {
        Some("delegated") => Delegation::Delegated,
        _ => Delegation::Unknown,
    };
    let parent = usable_parent(delegation);
    assert!(parent.is_some() || must_hold.is_none(), "no control group can be made here");
    parent
}

fn usable_parent(delegation: Delegation) -> Option<ParentCgroup> {
    let root = CgroupRoot::open("/sys/fs/cgroup").ok()?;
    let own = Membership::of_process(Path::new("/proc"), "self").ok()?;
    let parent = ParentCgroup::open(root, &own, delegation).ok()?;
    let name = format!("bij-probe-{}-{:?}", std::process::id(), thread::current().id());
    let group = OwnedCgroup::create(&parent, &name, &limited(16 << 20)).ok()?;
    let holds = group.missing().iter().all(|missing| missing.setting != CgroupSetting::Memory);
    group.remove().ok()?;
    holds.then_some(parent)
}

/// A parent in a tree of plain files.
fn parent(root: &Path, own: &str) -> ParentCgroup {
    let root = CgroupRoot::open(root).unwrap();
    ParentCgroup::open(root, &Membership::parse(own), Delegation::Unknown).unwrap()
}

/// A version 2 tree of plain files whose root holds this process and enables memory for groups below it.
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

/// A command that runs `script` in the group: the shell enters the group, then runs it.
fn inside(group: &OwnedCgroup, script: &str) -> Command {
    let mut command = Command::new("sh");
    let enter =
        r#"while [ "$1" != -- ]; do echo 0 >"$1" || exit 99; shift; done; shift; eval "$1""#;
    command.args(["-c", enter, "sh"]).args(group.procs_files()).args(["--", script]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_greedy_child_is_killed_and_counted() {
    let Some(parent) = real_parent() else { return };
    let name = format!("bij-greedy-{}", std::process::id());
    let group = OwnedCgroup::create(&parent, &name, &limited(8 << 20)).unwrap();
    let status = inside(&group, "exec tail /dev/zero").status().unwrap();
    assert_eq!(status.signal(), Some(9), "{status}");
    let reading = group.cgroup().read();
    assert_eq!(reading.oom_kills, Some(1));
    // Linux 6.18 leaves memory.failcnt of version 1 at 0, so only version 2 can be held to it.
    let hits = reading.memory_limit_hits.unwrap();
    assert!(hits > 0 || parent.root().hierarchy() != Hierarchy::Unified);
    assert_eq!(reading.resources.memory_max, Some(Limit::At(Bytes::new(8 << 20))));
    assert!(reading.resources.cpu_usage_nsec.is_some_and(|used| used > 0));
    if let Some(peak) = reading.resources.memory_peak {
        assert_eq!(peak, Bytes::new(8 << 20));
    }
    group.remove().unwrap();
}

#[test]
fn all_processes_of_a_group_are_killed_and_the_group_can_be_removed() {
    let Some(parent) = real_parent() else { return };
    let name = format!("bij-kill-{}", std::process::id());
    let group = OwnedCgroup::create(&parent, &name, &limited(64 << 20)).unwrap();
    let mut child = inside(&group, "sleep 600 & echo up; exec sleep 600")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    assert_eq!(group.cgroup().processes().len(), 2);
    let again = OwnedCgroup::create(&parent, &name, &limited(64 << 20));
    assert!(matches!(again, Err(CreateError::Occupied { .. })), "{again:?}");
    group.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    group.remove().unwrap();
}

#[test]
fn a_name_cannot_leave_the_parent() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("memory")).unwrap();
    let parent = parent(dir.path(), "4:memory:/\n");
    for name in ["..", "a/b", "", "."] {
        let made = OwnedCgroup::create(&parent, name, &CgroupLimits::default());
        assert!(matches!(made, Err(CreateError::Name(_))), "{name:?}");
    }
}

#[test]
fn every_limit_without_effect_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("memory")).unwrap();
    // No file system of the kernel here, so the directory stays empty: nothing has an effect.
    let parent = parent(dir.path(), "4:memory:/host/only\n");
    let group = OwnedCgroup::create(&parent, "x", &limited(1 << 20)).unwrap();
    let missing: Vec<_> = group.missing().iter().map(|missing| missing.setting).collect();
    assert_eq!(missing, [CgroupSetting::Memory, CgroupSetting::Swap, CgroupSetting::Tasks]);
    assert_eq!(group.procs_files(), [dir.path().join("memory/x/cgroup.procs")]);
    group.remove().unwrap();
}

#[test]
fn a_tree_that_cannot_be_written_is_named() {
    let dir = unified_tree();
    fs::write(dir.path().join("x"), "in the way").unwrap();
    let made = OwnedCgroup::create(&parent(dir.path(), "0::/\n"), "x", &CgroupLimits::default());
    let Err(CreateError::NotWritable { path, .. }) = made else { panic!("{made:?}") };
    assert_eq!(path, dir.path().join("x"));
    let nowhere = tempfile::tempdir().unwrap();
    fs::create_dir(nowhere.path().join("memory")).unwrap();
    let made = OwnedCgroup::create(&parent(nowhere.path(), ""), "x", &CgroupLimits::default());
    assert!(matches!(made, Err(CreateError::NoParent { .. })), "{made:?}");
}

#[test]
fn a_freezer_is_used_where_there_is_one() {
    let dir = unified_tree();
    let make = || {
        OwnedCgroup::create(&parent(dir.path(), "0::/\n"), "x", &CgroupLimits::default()).unwrap()
    };
    let group = make();
    assert!(!group.set_frozen(true).unwrap(), "no cgroup.freeze");
    assert_eq!(group.cgroup().is_frozen(), None);
    // The files of a kernel that freezes at once.
    let put = |name, text| fs::write(dir.path().join("x").join(name), text).unwrap();
    put("cgroup.freeze", "0\n");
    put("cgroup.events", "populated 1\nfrozen 1\n");
    assert!(group.set_frozen(true).unwrap());
    assert_eq!(fs::read_to_string(dir.path().join("x/cgroup.freeze")).unwrap(), "1");
    assert_eq!(group.cgroup().is_frozen(), Some(true));
    let missing = group.set_cpu(Limit::Max).unwrap_err();
    assert_eq!(missing.setting, CgroupSetting::Cpu, "no cpu.max, as on JetPack 6");
    put("cpu.max", "max 100000\n");
    group.set_cpu(Limit::At("50%".parse().unwrap())).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("x/cpu.max")).unwrap(), "50000 100000");
}
