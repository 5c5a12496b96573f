use super::*;

/// A directory with the files of a group that hands nothing down.
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

fn open(root: &Path, own: &str, tenure: Tenure) -> Result<ParentCgroup, ParentError> {
    let root = CgroupRoot::open(root).unwrap();
    ParentCgroup::open(root, &Membership::everywhere(&own.parse().unwrap()), tenure)
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
    for tenure in [Tenure::Delegated, Tenure::Unknown] {
        let refused = open(dir.path(), "/shell", tenure);
        assert!(matches!(refused, Err(ParentError::Shared { .. })), "{refused:?}");
        assert_eq!(files(), before);
    }
}

#[test]
fn a_delegated_group_is_left_before_anything_is_handed_down() {
    let dir = tempfile::tempdir().unwrap();
    group(dir.path(), &[]);
    let own = dir.path().join("bij.scope");
    group(&own, &[std::process::id()]);
    fs::create_dir(own.join(LEAF)).unwrap();
    let parent = open(dir.path(), "/bij.scope", Tenure::Delegated).unwrap();
    assert_eq!(parent.groups().unified().unwrap().to_string(), "/bij.scope");
    assert_eq!(fs::read_to_string(own.join(LEAF).join("cgroup.procs")).unwrap(), "0");
    // These are not the kernel's files: the last word that was written is left.
    assert_eq!(fs::read_to_string(own.join("cgroup.subtree_control")).unwrap(), "+pids");
}

#[test]
fn a_kernel_that_refuses_memory_leaves_all_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    group(dir.path(), &[]);
    let own = dir.path().join("bij.scope");
    group(&own, &[std::process::id()]);
    let control = own.join("cgroup.subtree_control");
    // A directory in its place cannot be written.
    fs::remove_file(&control).unwrap();
    fs::create_dir(&control).unwrap();
    let refused = open(dir.path(), "/bij.scope", Tenure::Delegated);
    assert!(matches!(refused, Err(ParentError::Refused { .. })), "{refused:?}");
    assert_eq!(fs::read_to_string(own.join("cgroup.procs")).unwrap(), "0", "it has gone back");
}

#[test]
fn a_mount_that_shows_another_group_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    group(dir.path(), &[1]);
    let refused = open(dir.path(), "/of/the/host", Tenure::Unknown);
    assert!(matches!(refused, Err(ParentError::Elsewhere { .. })), "{refused:?}");
    fs::write(dir.path().join("cgroup.procs"), format!("1\n{}\n", std::process::id())).unwrap();
    let shared = open(dir.path(), "/of/the/host", Tenure::Unknown);
    assert!(matches!(shared, Err(ParentError::Shared { .. })), "{shared:?}");
}

#[test]
fn version_1_needs_no_room_to_be_made() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("memory")).unwrap();
    let root = CgroupRoot::open(dir.path()).unwrap();
    let own = Membership::parse("4:memory:/user.slice\n");
    let parent = ParentCgroup::open(root, &own, Tenure::Unknown).unwrap();
    assert_eq!(parent.groups(), &own);
    assert_eq!(fs::read_dir(dir.path().join("memory")).unwrap().count(), 0);
}
