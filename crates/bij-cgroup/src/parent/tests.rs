use super::*;

/// A directory with the files of a group that enables no controllers.
fn group(directory: &Path, processes: &[u32]) {
    fs::create_dir_all(directory).unwrap();
    let procs = processes.iter().map(u32::to_string).collect::<Vec<_>>().join("\n");
    for (name, text) in [
        ("cgroup.type", "domain\n"),
        ("cgroup.procs", procs.as_str()),
        ("cgroup.controllers", "cpu memory pids\n"),
        ("cgroup.subtree_control", "\n"),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
}

fn open(root: &Path, own: &str, delegation: Delegation) -> Result<ParentCgroup, ParentError> {
    let root = CgroupRoot::open(root).unwrap();
    ParentCgroup::open(root, &Membership::in_all_hierarchies(&own.parse().unwrap()), delegation)
}

#[test]
fn a_shared_group_is_left_as_it_was_in_every_file() {
    let dir = tempfile::tempdir().unwrap();
    group(dir.path(), &[]);
    let own = dir.path().join("shell");
    group(&own, &[std::process::id(), 1]);
    let files = || {
        let mut files: Vec<_> = fs::read_dir(&own)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    for delegation in [Delegation::Delegated, Delegation::Unknown] {
        let refused = open(dir.path(), "/shell", delegation);
        assert!(matches!(refused, Err(ParentError::Shared { .. })), "{refused:?}");
        assert_eq!(files(), before);
    }
}

#[test]
fn a_delegated_group_is_left_before_controllers_are_enabled() {
    let dir = tempfile::tempdir().unwrap();
    group(dir.path(), &[]);
    let own = dir.path().join("bij.scope");
    group(&own, &[std::process::id()]);
    fs::create_dir(own.join(LEAF)).unwrap();
    let parent = open(dir.path(), "/bij.scope", Delegation::Delegated).unwrap();
    assert_eq!(parent.groups().unified().unwrap().to_string(), "/bij.scope");
    assert_eq!(fs::read_to_string(own.join(LEAF).join("cgroup.procs")).unwrap(), "0");
    // In plain files the last write stays.
    assert_eq!(fs::read_to_string(own.join("cgroup.subtree_control")).unwrap(), "+pids");
}

#[test]
fn nothing_has_changed_after_the_kernel_refused_memory() {
    let dir = tempfile::tempdir().unwrap();
    group(dir.path(), &[]);
    let own = dir.path().join("bij.scope");
    group(&own, &[std::process::id()]);
    let control = own.join("cgroup.subtree_control");
    // A directory in its place cannot be written.
    fs::remove_file(&control).unwrap();
    fs::create_dir(&control).unwrap();
    let refused = open(dir.path(), "/bij.scope", Delegation::Delegated);
    assert!(matches!(refused, Err(ParentError::Refused { .. })), "{refused:?}");
    assert_eq!(
        fs::read_to_string(own.join("cgroup.procs")).unwrap(),
        "0",
        "the process has moved back"
    );
}

#[test]
fn a_mount_that_shows_another_group_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    group(dir.path(), &[1]);
    let refused = open(dir.path(), "/of/the/host", Delegation::Unknown);
    assert!(matches!(refused, Err(ParentError::Elsewhere { .. })), "{refused:?}");
    fs::write(dir.path().join("cgroup.procs"), format!("1\n{}\n", std::process::id())).unwrap();
    let shared = open(dir.path(), "/of/the/host", Delegation::Unknown);
    assert!(matches!(shared, Err(ParentError::Shared { .. })), "{shared:?}");
}

#[test]
fn version_1_needs_no_preparation() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("memory")).unwrap();
    let root = CgroupRoot::open(dir.path()).unwrap();
    let own = Membership::parse("4:memory:/user.slice\n");
    let parent = ParentCgroup::open(root, &own, Delegation::Unknown).unwrap();
    assert_eq!(parent.groups(), &own);
    assert_eq!(fs::read_dir(dir.path().join("memory")).unwrap().count(), 0);
}
