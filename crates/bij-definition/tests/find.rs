//! Finding definitions in a tree of files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "these tests are about files")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use bij_core::port::{DefinitionSource as _, FindError, FoundDefinition};
use bij_core::spec::{ExperimentSpec, SandboxProfile};
use bij_core::{ExperimentId, Layout};
use bij_definition::{Definitions, SpecOverlay};

struct Tree {
    root: tempfile::TempDir,
    definitions: Definitions,
}

impl Tree {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let definitions = Definitions::new(Layout::system(root.path()));
        Self { root, definitions }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn find(&self, id: &str) -> Result<FoundDefinition, FindError> {
        self.definitions.find(&ExperimentId::new(id).unwrap())
    }

    /// Returns the error of an unusable definition, without the root directory in paths.
    fn complaint(&self, id: &str) -> String {
        let error = self.find(id).unwrap_err();
        let source = std::error::Error::source(&error);
        let source = source.map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}").replace(&self.root.path().display().to_string(), "")
    }
}

const BY_HAND: &str = "etc/brain-in-jar/experiments";
const SUBMITTED: &str = "var/lib/brain-in-jar/definitions";

#[test]
fn a_definition_written_by_hand_takes_precedence_over_a_submitted_one() {
    let tree = Tree::new();
    tree.write(&format!("{SUBMITTED}/x.toml"), "command = ['/submitted']");
    assert_eq!(tree.find("x").unwrap().spec.command, ["/submitted"]);
    tree.write(&format!("{BY_HAND}/x.toml"), "command = ['/by/hand']");
    let found = tree.find("x").unwrap();
    assert_eq!(found.spec.command, ["/by/hand"]);
    assert_eq!(Path::new(&found.source), tree.path(&format!("{BY_HAND}/x.toml")));
    let unused = tree.definitions.unused_files().unwrap();
    assert!(unused[0].message.contains("also defined by hand"), "{unused:?}");
}

#[test]
fn env_and_extras_are_merged_into_a_definition() {
    let tree = Tree::new();
    tree.write(&format!("{BY_HAND}/x.json"), r#"{"command": ["/r"], "limits": {"memory": "1G"}}"#)
        .write(
            &format!("{BY_HAND}/x.env"),
            "EXPERIMENT_RAM_LIMIT=2G # two\nEXPERIMENT_CPU_QUOTA=50%\n",
        );
    let found = tree.find("x").unwrap();
    assert_eq!(found.spec.limits.memory, "2G".parse().ok());
    assert_eq!(found.warnings.len(), 1);

    let mut extras = SpecOverlay::default();
    extras.add_limit("memory=3G").unwrap();
    let id = ExperimentId::new("x").unwrap();
    let expected = tree.definitions.find_with(&id, &extras).unwrap();
    tree.definitions.set_extras(&id, &extras).unwrap();
    let found = tree.find("x").unwrap();
    assert_eq!(found.spec.limits.memory, "3G".parse().ok());
    assert_eq!(found.spec.limits.cpu, "50%".parse().ok());
    assert_eq!(found, expected, "the stamp included");
    assert_eq!(tree.definitions.extras(&id).unwrap(), Some(extras));
    tree.definitions.clear_extras(&id).unwrap();
    assert_eq!(tree.find("x").unwrap().spec.limits.memory, "2G".parse().ok());
}

#[test]
fn the_stamp_changes_with_everything_that_is_rendered_and_reveals_no_secret() {
    let tree = Tree::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut stamp = |change: &str, text: &str| {
        tree.write(change, text);
        let stamp = tree.find("x").unwrap().stamp;
        assert_eq!(stamp, tree.find("x").unwrap().stamp);
        assert!(stamp.len() == 16 && stamp.bytes().all(|b| b.is_ascii_hexdigit()), "{stamp}");
        seen.insert(stamp)
    };
    assert!(stamp(&format!("{BY_HAND}/x.toml"), "command = ['/r']"));
    assert!(!stamp(&format!("{BY_HAND}/x.toml"), "command = ['/r'] # comment"));
    assert!(stamp(&format!("{BY_HAND}/x.toml"), "command = ['/s']"));
    assert!(!stamp(&format!("{BY_HAND}/x.env"), ""));
    assert!(!stamp(&format!("{BY_HAND}/x.env"), "TOKEN=1"));
    assert!(!stamp(&format!("{BY_HAND}/x.env"), "TOKEN=2"));
    assert!(stamp(&format!("{BY_HAND}/x.env"), "EXPERIMENT_CPU_QUOTA=50%"));
    assert!(stamp("var/lib/brain-in-jar/extras/x.toml", "limits.memory = '1G'"));
    assert!(!stamp("etc/brain-in-jar/coordinator.toml", "[runner]\ncommand = ['/r']"), "not used");
}

#[test]
fn configs_of_the_older_tool_run_from_their_own_directory() {
    let tree = Tree::new();
    let configs = tree.path("home/user/configs");
    let config = r#"{"experiment_id": "test_001", "name": "Test", "mode": "amnesiac_loop"}"#;
    tree.write("home/user/configs/test_001.json", config)
        .write("home/user/configs/notes.toml", "")
        .write(&format!("{BY_HAND}/test_001.env"), "EXPERIMENT_RAM_LIMIT=8G\n");
    assert!(tree.complaint("test_001").contains(&format!("found only /{BY_HAND}/test_001.env")));

    let settings = |command: &str| {
        let directory = configs.display();
        let text = format!("[runner]\ncommand = ['{command}']\nconfig_directory = '{directory}'");
        tree.write("etc/brain-in-jar/coordinator.toml", text);
    };
    settings("/usr/bin/runner");
    let first = tree.find("test_001").unwrap();
    let config = configs.join("test_001.json").display().to_string();
    assert_eq!(first.spec.command, ["/usr/bin/runner", config.as_str()]);
    assert_eq!(first.spec.limits.memory, "8G".parse().ok());
    assert_eq!(tree.definitions.ids().unwrap(), [ExperimentId::new("test_001").unwrap()]);
    settings("/usr/bin/other");
    assert_ne!(tree.find("test_001").unwrap().stamp, first.stamp);
}

/// Writes settings whose runner reads configs from the directory `configs` of the tree.
fn with_runner(tree: &Tree, user: &str) {
    let directory = tree.path("configs");
    let directory = directory.display();
    let text = format!("[runner]\ncommand = ['/r']\nconfig_directory = \"{directory}\"\n{user}\n");
    tree.write("etc/brain-in-jar/coordinator.toml", text);
}

#[test]
fn a_file_in_the_directory_of_configs_is_never_a_definition() {
    let tree = Tree::new();
    with_runner(&tree, "");
    let evil = r#"{"command": ["/evil"], "user": "root", "sandbox": {"profile": "trusted"}}"#;
    tree.write("configs/x.json", evil);
    let error = tree.complaint("x");
    assert!(error.contains("config_directory is a config and never a definition"), "{error}");
    // There, keys of definitions are for the program.
    let config =
        r#"{"user": "root", "limits": {"memory": "1T"}, "sandbox": {"profile": "trusted"}}"#;
    tree.write("configs/x.json", config);
    let spec = tree.find("x").unwrap().spec;
    assert_eq!(spec.command, ["/r", tree.path("configs/x.json").to_str().unwrap()]);
    let ExperimentSpec { user, limits, sandbox, .. } = spec;
    assert_eq!((user, limits.memory, sandbox), (None, None, SandboxProfile::Default));
}

#[test]
fn files_that_others_could_have_written_are_refused_with_the_remedy() {
    let tree = Tree::new();
    tree.write(&format!("{BY_HAND}/x.toml"), "command = ['/r']")
        .write(&format!("{BY_HAND}/x.env"), "LR=1")
        .write(&format!("{SUBMITTED}/y.toml"), "command = ['/r']")
        .write("var/lib/brain-in-jar/extras/x.toml", "config = 'c'");
    for (path, id) in [
        (format!("{BY_HAND}/x.toml"), "x"),
        (format!("{BY_HAND}/x.env"), "x"),
        (BY_HAND.to_owned(), "x"),
        ("etc/brain-in-jar".to_owned(), "x"),
        ("var/lib/brain-in-jar/extras/x.toml".to_owned(), "x"),
        ("var/lib/brain-in-jar/extras".to_owned(), "x"),
        (SUBMITTED.to_owned(), "y"),
    ] {
        let full = tree.path(&path);
        let before = fs::metadata(&full).unwrap().permissions();
        assert!(tree.find(id).is_ok(), "{path}");
        let mut open = before.clone();
        open.set_mode(before.mode() & 0o7777 | 0o002);
        fs::set_permissions(&full, open).unwrap();
        let error = tree.complaint(id);
        assert!(error.contains(&format!("chmod o-w /{path}")), "{path}: {error}");
        assert!(error.contains("every user may write it"), "{path}: {error}");
        if full.is_dir() {
            let all = tree.definitions.too_open();
            assert!(all.iter().any(|too_open| too_open.path == full), "{path}: {all:?}");
        }
        fs::set_permissions(&full, before).unwrap();
    }
    assert_eq!(tree.definitions.too_open(), []);
    assert!(tree.find("x").is_ok());
}

#[test]
fn settings_that_others_could_have_written_are_refused() {
    let tree = Tree::new();
    with_runner(&tree, "");
    tree.write("configs/x.json", r#"{"experiment_id": "x"}"#);
    assert!(tree.find("x").is_ok() && tree.definitions.settings().is_ok());
    let settings = tree.path("etc/brain-in-jar/coordinator.toml");
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(tree.definitions.settings().unwrap_err().to_string().contains("chmod o-w"));
    assert!(matches!(tree.find("x"), Err(FindError::Missing { .. } | FindError::Invalid { .. })));
    assert_eq!(tree.definitions.too_open()[0].path, settings);
}

/// Only root can change the owner of files; the tests above cover other users by modes.
#[test]
fn a_users_config_is_passed_to_no_command_with_more_rights() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let tree = Tree::new();
    tree.write("configs/x.json", r#"{"experiment_id": "x"}"#);
    let give = |path: &str, uid: u32| {
        nix::unistd::chown(&tree.path(path), Some(uid.into()), None).unwrap();
    };
    let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap().uid.as_raw();
    give("configs", daemon);
    give("configs/x.json", daemon);
    for (user, is_usable) in [
        ("", true),
        ("user = 'daemon'", true),
        (&format!("user = '{daemon}'"), true),
        ("user = 'root'", false),
        ("user = 'no-such-user'", false),
    ] {
        with_runner(&tree, user);
        let found = tree.find("x");
        assert_eq!(found.is_ok(), is_usable, "{user}: {found:?}");
    }
    let error = tree.complaint("x");
    assert!(error.contains("chown no-such-user"), "{error}");
    // The owner of a directory on the path counts, too.
    with_runner(&tree, "");
    give("configs", daemon + 1);
    assert!(tree.complaint("x").contains(&format!("belongs to uid {}", daemon + 1)));
    give("configs", daemon);
    // Root's file in a user's directory may be a link to anything.
    give("configs/x.json", 0);
    assert!(tree.find("x").is_err());
    fs::remove_file(tree.path("configs/x.json")).unwrap();
    symlink("/etc/shadow", tree.path("configs/x.json")).unwrap();
    assert!(!tree.complaint("x").contains("root:"));
}

#[test]
fn broken_settings_affect_only_experiments_that_need_them() {
    let tree = Tree::new();
    tree.write("etc/brain-in-jar/coordinator.toml", "[runer]\n")
        .write(&format!("{BY_HAND}/a.toml"), "command = ['/r']")
        .write(&format!("{BY_HAND}/b.json"), r#"{"experiment_id": "b"}"#)
        .write(&format!("{BY_HAND}/c.json"), r#"{"command": ["/r"]}"#);
    assert!(tree.find("a").is_ok() && tree.find("c").is_ok());
    assert!(tree.complaint("b").contains("did you mean `runner`?"));
    assert_eq!(tree.definitions.ids().unwrap().len(), 3);
}

#[test]
fn settings_come_from_both_of_their_files() {
    let tree = Tree::new();
    assert_eq!(tree.definitions.settings().unwrap(), Default::default());
    tree.write("etc/brain-in-jar/coordinator.toml", "[runner]\ncommand = ['/r']")
        .write("etc/brain-in-jar/coordinator.env", "MAX_CONCURRENT_EXPERIMENTS=4 # four");
    let (settings, warnings) = tree.definitions.settings().unwrap();
    assert_eq!(settings.runner.unwrap().command, ["/r"]);
    assert_eq!(settings.coordinator.max_concurrent, Some(4));
    assert_eq!(warnings.len(), 1);
    tree.write("etc/brain-in-jar/coordinator.env", "MAX_CONCURRENT_EXPERIMENTS=many")
        .write(&format!("{BY_HAND}/b.json"), r#"{"experiment_id": "b"}"#);
    assert!(tree.definitions.settings().is_err());
    assert!(tree.find("b").is_ok(), "an experiment needs no coordinator");
}

#[test]
fn a_missing_definition_is_reported_with_the_searched_paths() {
    let tree = Tree::new();
    assert_eq!(
        tree.complaint("x"),
        format!(
            "there is no experiment x; looked for /{BY_HAND}/x.toml, /{BY_HAND}/x.json, \
             /{SUBMITTED}/x.toml, /{SUBMITTED}/x.json"
        )
    );
    assert!(matches!(tree.find("x"), Err(FindError::Missing { .. })));
    assert!(tree.definitions.ids().unwrap().is_empty());
}

#[test]
fn a_mistyped_id_finds_the_similar_experiment() {
    let tree = Tree::new();
    for id in ["amnesiac_001", "unstable_002"] {
        tree.write(&format!("{BY_HAND}/{id}.toml"), "");
    }
    let similar = |id: &str| tree.definitions.similar(&ExperimentId::new(id).unwrap()).unwrap();
    assert_eq!(similar("amnesic_01").unwrap().as_str(), "amnesiac_001");
    assert_eq!(similar("panopticon_003"), None);
}

#[test]
fn two_definitions_in_one_directory_are_an_error() {
    let tree = Tree::new();
    tree.write(&format!("{BY_HAND}/x.toml"), "command = ['/r']")
        .write(&format!("{BY_HAND}/x.json"), r#"{"command": ["/r"]}"#);
    let complaint = tree.complaint("x");
    let expected = format!("/{BY_HAND}/x.toml: /{BY_HAND}/x.json also defines x");
    assert!(complaint.contains(&expected), "{complaint}");
}

#[test]
fn a_definition_that_is_not_a_text_file_is_refused() {
    let tree = Tree::new();
    tree.write(&format!("{BY_HAND}/big.toml"), vec![b'#'; 10 << 20])
        .write(&format!("{BY_HAND}/nul.toml"), b"command = ['/r']\n\0")
        .write(&format!("{BY_HAND}/latin.toml"), b"command = ['/r']\n# \xe9t\xe9");
    fs::create_dir(tree.path(&format!("{BY_HAND}/dir.toml"))).unwrap();
    symlink("/dev/zero", tree.path(&format!("{BY_HAND}/device.toml"))).unwrap();
    symlink("nowhere", tree.path(&format!("{BY_HAND}/dangling.toml"))).unwrap();
    symlink("loop.toml", tree.path(&format!("{BY_HAND}/loop.toml"))).unwrap();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&tree.path(&format!("{BY_HAND}/pipe.toml")), mode).unwrap();
    for (id, message) in [
        ("big", "/big.toml: the file has more than 1 MiB"),
        ("nul", "/nul.toml:2: byte 17 is NUL"),
        ("latin", "/latin.toml:2: byte 19 (0xe9) is not valid UTF-8"),
        ("dir", "/dir.toml: is a directory, expected a file"),
        ("device", "/device.toml: is a device, expected a file"),
        ("pipe", "/pipe.toml: is a named pipe, expected a file"),
        ("dangling", "/dangling.toml: is a symbolic link to a file that does not exist"),
        ("loop", "cannot read /"),
    ] {
        let complaint = tree.complaint(id);
        assert!(complaint.contains(message), "{id}: {complaint}");
    }
    assert_eq!(tree.definitions.ids().unwrap().len(), 8, "broken definitions are listed, too");
}

#[test]
fn a_symbolic_link_to_a_file_is_a_definition() {
    let tree = Tree::new();
    tree.write("home/me/real.toml", "command = ['/r']");
    fs::create_dir_all(tree.path(BY_HAND)).unwrap();
    symlink(tree.path("home/me/real.toml"), tree.path(&format!("{BY_HAND}/x.toml"))).unwrap();
    assert_eq!(tree.find("x").unwrap().spec.command, ["/r"]);
}

#[test]
fn files_whose_names_are_not_ids_are_unused() {
    let tree = Tree::new();
    for name in
        ["../ok.toml", "has space.toml", "%i.json", "-x.env", "only.env", ".hidden.toml", "README"]
    {
        tree.write(&format!("{BY_HAND}/{name}"), "");
    }
    let unused = tree.definitions.unused_files().unwrap();
    let names: Vec<_> = unused
        .iter()
        .map(|unused| Path::new(&unused.location.file).file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["%i.json", "-x.env", "has space.toml", "only.env"]);
    assert!(unused[2].message.contains("is not an experiment id"));
    assert!(unused[3].message.contains("nothing defines only"));
}

#[test]
fn any_file_can_be_parsed_as_the_definition_of_its_name() {
    let tree = Tree::new();
    tree.write("home/me/try.toml", "command = ['/r']")
        .write("home/me/try.env", "A=1")
        .write("home/me/bad name.toml", "")
        .write("home/me/try.sh", "");
    let find = |name: &str| tree.definitions.find_file(&tree.path(&format!("home/me/{name}")));
    let found = find("try.toml").unwrap();
    assert_eq!((found.spec.id.as_str(), found.spec.environment["A"].as_str()), ("try", "1"));
    assert!(matches!(find("gone.toml"), Err(FindError::Unreadable { .. })));
    assert!(matches!(find("gone"), Err(FindError::Unreadable { .. })));
    assert!(matches!(find("bad name.toml"), Err(FindError::BadName { .. })));
    assert!(matches!(find("try.sh"), Err(FindError::Invalid { .. })));
}
