//! The generator as systemd calls it, over trees that mean it well and ill.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.definitions()).unwrap();
        fs::create_dir_all(tree.normal()).unwrap();
        tree
    }

    fn definitions(&self) -> PathBuf {
        self.0.path().join("etc/brain-in-jar/experiments")
    }

    fn normal(&self) -> PathBuf {
        self.0.path().join("run/systemd/generator")
    }

    fn define(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.definitions().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs the generator; it never fails, whatever it finds.
    fn generate(&self) -> Output {
        let normal = self.normal();
        let output = Command::new(env!("CARGO_BIN_EXE_brain-experiment-generator"))
            .arg("--root")
            .arg(self.0.path())
            .args([&normal, &normal, &normal])
            .env_remove("SYSTEMD_SCOPE")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    }

    fn generated(&self) -> Vec<String> {
        let entries = fs::read_dir(self.normal()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn drop_in(&self, id: &str) -> String {
        let path = format!("brain-experiment@{id}.service.d/10-experiment.conf");
        fs::read_to_string(self.normal().join(path)).unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_definition_and_its_env_become_one_drop_in() {
    let tree = Tree::new();
    let source =
        tree.define("x.toml", "command = [\"/bin/sleep\", \"1\"]\nlimits.memory = \"8G\"\n");
    tree.define("x.env", "EXPERIMENT_RAM_LIMIT=64M\n");
    let output = tree.generate();
    assert_eq!(stderr(&output), "");
    let text = tree.drop_in("x");
    assert!(text.contains("MemoryMax=64M\n"), "{text}");
    assert!(text.contains(&format!("SourcePath={}\n", source.display())), "{text}");
    assert!(text.contains("BIJ_STAMP="), "{text}");
}

#[test]
fn nobody_is_hurt_by_a_broken_neighbour() {
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
    let output = tree.generate();
    assert_eq!(tree.generated(), ["brain-experiment@good.service.d"]);
    let told = stderr(&output);
    for id in ["typo", "nul", "raw-nul", "latin", "huge", "empty", "directory", "fifo", "zero"] {
        assert!(told.contains(&format!("{id} has no drop-in")), "{id} in {told}");
    }
    assert!(told.contains("command"), "the nearest right key in {told}");
}

#[test]
fn submitted_definitions_count_as_soon_as_var_is_there() {
    let tree = Tree::new();
    tree.generate();
    assert_eq!(tree.generated(), [""; 0]);
    let submitted = tree.0.path().join("var/lib/brain-in-jar/definitions");
    fs::create_dir_all(&submitted).unwrap();
    fs::write(submitted.join("y.toml"), "command = [\"/bin/true\"]\n").unwrap();
    tree.generate();
    assert_eq!(tree.generated(), ["brain-experiment@y.service.d"]);
}

#[test]
fn without_any_definitions_or_arguments_nothing_happens() {
    let tree = Tree::new();
    fs::remove_dir_all(tree.0.path().join("etc")).unwrap();
    assert_eq!(stderr(&tree.generate()), "");
    let program = env!("CARGO_BIN_EXE_brain-experiment-generator");
    let output = Command::new(program).arg("--root").arg(tree.0.path()).output().unwrap();
    assert!(output.status.success());
    assert!(stderr(&output).contains("usage: "), "{output:?}");
}

#[test]
fn a_users_manager_gets_its_users_definitions() {
    let tree = Tree::new();
    let home = tree.0.path().join("home/ann/.config/brain-in-jar/experiments");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("mine.toml"), "command = [\"/bin/true\"]\n").unwrap();
    tree.define("systems.toml", "command = [\"/bin/true\"]\n");
    // Before systemd 251 only the path of the program says whose manager calls.
    let generators = tree.0.path().join("usr/lib/systemd/user-generators");
    fs::create_dir_all(&generators).unwrap();
    let program = generators.join("brain-experiment-generator");
    symlink(env!("CARGO_BIN_EXE_brain-experiment-generator"), &program).unwrap();
    for (program, scope) in [
        (program.as_path(), None),
        (Path::new(env!("CARGO_BIN_EXE_brain-experiment-generator")), Some("user")),
    ] {
        let mut command = Command::new(program);
        command.arg("--root").arg(tree.0.path()).arg(tree.normal());
        command.env_clear().env("HOME", "/home/ann").env("XDG_RUNTIME_DIR", "/run/user/7");
        command.envs(scope.map(|scope| ("SYSTEMD_SCOPE", scope)));
        let output = command.output().unwrap();
        assert!(output.status.success());
        assert_eq!(tree.generated(), ["brain-experiment@mine.service.d"], "{output:?}");
        fs::remove_dir_all(tree.normal()).unwrap();
        fs::create_dir_all(tree.normal()).unwrap();
    }
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
    tree.generate();
    assert_eq!(tree.generated().len(), 1000);
}
