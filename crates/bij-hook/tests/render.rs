//! `bij-hook boot` renders definitions, over valid and hostile trees.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.definitions()).unwrap();
        let boot_id = tree.0.path().join("proc/sys/kernel/random/boot_id");
        fs::create_dir_all(boot_id.parent().unwrap()).unwrap();
        fs::write(boot_id, "10000000-0000-0000-0000-000000000000\n").unwrap();
        tree
    }

    fn definitions(&self) -> PathBuf {
        self.0.path().join("etc/brain-in-jar/experiments")
    }

    fn drop_ins(&self) -> PathBuf {
        self.0.path().join("run/systemd/system.attached")
    }

    fn define(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.definitions().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs the boot hook, which never fails, and returns its standard error.
    fn boot(&self) -> String {
        let mut hook = Command::new(env!("CARGO_BIN_EXE_bij-hook"));
        let output =
            hook.arg("--root").arg(self.0.path()).arg("boot").env_clear().output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn rendered(&self) -> Vec<String> {
        names_in(&self.drop_ins())
    }

    fn drop_in(&self, id: &str) -> String {
        let path = format!("brain-experiment@{id}.service.d/10-experiment.conf");
        fs::read_to_string(self.drop_ins().join(path)).unwrap()
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_definition_and_its_env_become_one_drop_in() {
    let tree = Tree::new();
    let source =
        tree.define("x.toml", "command = [\"/bin/sleep\", \"1\"]\nlimits.memory = \"8G\"\n");
    tree.define("x.env", "EXPERIMENT_RAM_LIMIT=64M\n");
    assert_eq!(tree.boot(), "bij-hook: 1 definitions rendered, 0 not\n");
    let text = tree.drop_in("x");
    assert!(text.contains("MemoryMax=64M\n"), "{text}");
    assert!(text.contains(&format!("from {}\n", source.display())), "{text}");
    assert!(text.contains("BIJ_STAMP="), "{text}");
}

#[test]
fn a_broken_definition_does_not_affect_others() {
    let tree = Tree::new();
    tree.define("good.toml", "command = [\"/bin/true\"]\n");
    tree.define("typo.toml", "comand = [\"/bin/true\"]\n");
    tree.define("nul.toml", "command = [\"/bin/\\u0000\"]\n");
    tree.define("raw-nul.toml", b"command = [\"/bin/tr\0ue\"]\n");
    tree.define("latin.toml", b"command = [\"/bin/\xff\"]\n");
    tree.define("huge.toml", vec![b'#'; 10 << 20]);
    tree.define("empty.toml", "");
    tree.define("old.json", "{\"experiment_id\": \"old\", \"mode\": \"x\"}");
    tree.define("%i.toml", "command = [\"/bin/true\"]\n");
    tree.define("..toml", "command = [\"/bin/true\"]\n");
    tree.define("notes.txt", "nothing");
    fs::create_dir(tree.definitions().join("directory.toml")).unwrap();
    nix::unistd::mkfifo(&tree.definitions().join("fifo.toml"), nix::sys::stat::Mode::S_IRWXU)
        .unwrap();
    symlink("/nowhere", tree.definitions().join("dangling.toml")).unwrap();
    symlink("/dev/zero", tree.definitions().join("zero.toml")).unwrap();
    let stderr = tree.boot();
    assert_eq!(tree.rendered(), ["brain-experiment@good.service.d"]);
    for id in ["typo", "nul", "raw-nul", "latin", "huge", "empty", "directory", "fifo", "zero"] {
        assert!(stderr.contains(&format!("{id} has no drop-in")), "{id} in {stderr}");
    }
    assert!(stderr.contains("command"), "the nearest right key in {stderr}");
}

#[test]
fn submitted_definitions_count_as_soon_as_var_is_there() {
    let tree = Tree::new();
    tree.boot();
    assert_eq!(tree.rendered(), [""; 0]);
    let submitted = tree.0.path().join("var/lib/brain-in-jar/definitions");
    fs::create_dir_all(&submitted).unwrap();
    fs::write(submitted.join("y.toml"), "command = [\"/bin/true\"]\n").unwrap();
    tree.boot();
    assert_eq!(tree.rendered(), ["brain-experiment@y.service.d"]);
}

#[test]
fn without_any_definitions_nothing_is_made() {
    let tree = Tree::new();
    fs::remove_dir_all(tree.0.path().join("etc")).unwrap();
    assert_eq!(tree.boot(), "bij-hook: 0 definitions rendered, 0 not\n");
    assert!(!tree.drop_ins().exists());
}

/// It may belong to a running unit, whose settings stay in force.
#[test]
fn an_existing_drop_in_is_left_to_the_next_start() {
    let tree = Tree::new();
    tree.define("x.toml", "command = [\"/bin/true\"]\nlimits.memory = \"1G\"\n");
    tree.boot();
    let before = tree.drop_in("x");
    for text in ["command = [\"/bin/true\"]\nlimits.memory = \"2G\"\n", "memroy = \"2G\"\n"] {
        tree.define("x.toml", text);
        tree.boot();
        assert_eq!(tree.drop_in("x"), before);
    }
    fs::remove_file(tree.definitions().join("x.toml")).unwrap();
    tree.boot();
    assert_eq!(tree.drop_in("x"), before);
}

#[test]
fn a_boot_killed_at_any_moment_leaves_whole_drop_ins_and_the_next_one_makes_the_rest() {
    let tree = Tree::new();
    for number in 0..300 {
        tree.define(&format!("e{number}.toml"), "command = [\"/bin/true\"]\n");
    }
    for round in 0..20 {
        let mut hook = Command::new(env!("CARGO_BIN_EXE_bij-hook"));
        hook.arg("--root").arg(tree.0.path()).arg("boot").env_clear();
        let mut boot = hook.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(500 + round * 400));
        boot.kill().unwrap();
        boot.wait().unwrap();
        for id in 0..300 {
            let path = format!("brain-experiment@e{id}.service.d/10-experiment.conf");
            if let Ok(text) = fs::read_to_string(tree.drop_ins().join(path)) {
                assert!(text.contains("RestartSec="), "half a drop-in: {text}");
            }
        }
    }
    tree.boot();
    for id in 0..300 {
        let directory = tree.drop_ins().join(format!("brain-experiment@e{id}.service.d"));
        assert!(directory.join("10-experiment.conf").exists());
    }
}

#[test]
fn a_drop_in_that_cannot_be_written_is_logged_and_stops_nothing() {
    let tree = Tree::new();
    tree.define("x.toml", "command = [\"/bin/true\"]\n");
    fs::create_dir_all(tree.drop_ins().parent().unwrap()).unwrap();
    fs::write(tree.drop_ins(), "a file").unwrap();
    let stderr = tree.boot();
    assert!(stderr.contains("cannot write ") && stderr.contains("x.service.d"), "{stderr}");
    assert!(stderr.contains("0 definitions rendered, 1 not"), "{stderr}");
}

#[test]
fn a_users_definitions_are_rendered_for_its_own_manager() {
    let tree = Tree::new();
    let home = tree.0.path().join("home/ann/.config/brain-in-jar/experiments");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("mine.toml"), "command = [\"/bin/true\"]\n").unwrap();
    tree.define("systems.toml", "command = [\"/bin/true\"]\n");
    let mut hook = Command::new(env!("CARGO_BIN_EXE_bij-hook"));
    hook.args(["boot", "--user", "--root"]).arg(tree.0.path());
    hook.env_clear().env("HOME", "/home/ann").env("XDG_RUNTIME_DIR", "/run/user/7");
    let output = hook.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let rendered = names_in(&tree.0.path().join("run/user/7/systemd/user"));
    assert_eq!(rendered, ["brain-experiment@mine.service.d"], "{output:?}");
    assert_eq!(tree.rendered(), [""; 0]);
}

#[test]
fn a_thousand_definitions_are_a_thousand_drop_ins() {
    let tree = Tree::new();
    for number in 0..1000 {
        tree.define(
            &format!("e{number}.toml"),
            "command = [\"/bin/true\"]\nlimits.memory = \"1G\"\n",
        );
    }
    tree.boot();
    assert_eq!(tree.rendered().len(), 1000);
}
