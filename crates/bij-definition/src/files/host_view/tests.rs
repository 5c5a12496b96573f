use bij_core::ExperimentId;

use super::*;

/// A tree with a shell, a loader and the programs of the tests.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        // The test itself is a program for this machine.
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let head = &own[..own.len().min(4096)];
        tree.write("bin/sh", 0o755, head);
        if let ExecutableFormat::Elf { loader: Some(loader), .. } = ExecutableFormat::read(head) {
            tree.write(&loader, 0o755, head);
        }
        tree.write("opt/plain", 0o644, b"#!/bin/sh\n");
        tree.write("opt/run", 0o755, b"#!/bin/sh\necho\n");
        tree
    }

    fn write(&self, name: &str, mode: u32, content: &[u8]) {
        let path = self.0.path().join(name.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn script(&self, first_line: &str) -> Option<String> {
        self.write("opt/script", 0o755, format!("{first_line}\necho\n").as_bytes());
        self.obstacle("/opt/script")
    }

    fn view(&self) -> HostView<'_> {
        HostView { root: self.0.path(), path: Some("/usr/bin:/opt"), hidden: &["/tmp"] }
    }

    fn obstacle(&self, program: &str) -> Option<String> {
        Some(self.view().command(&spec(program))?.to_string())
    }
}

fn spec(program: &str) -> ExperimentSpec {
    ExperimentSpec::new(ExperimentId::new("x").unwrap(), vec![program.to_owned()])
}

#[test]
fn a_program_that_certainly_cannot_run_is_reported_with_the_remedy() {
    let tree = Tree::new();
    let message = |program: &str| tree.obstacle(program).unwrap();
    assert!(message("/opt/none").starts_with("/opt/none is not there: install it"));
    assert!(message("/opt/run/deeper").contains("is not there"));
    assert!(message("/opt").contains("is a directory"));
    assert!(message("/opt/plain").contains("chmod +x /opt/plain"));
    assert!(message("none").contains("PATH (/usr/bin:/opt)"));
    assert!(message("plain").starts_with("/opt/plain is not executable"), "it was found");
    let mut spec = spec("./none");
    spec.directory = Some("/opt".parse().unwrap());
    let message = tree.view().command(&spec).unwrap().to_string();
    assert!(message.starts_with("./none is not there"), "{message}");
    spec.command = vec!["run".to_owned()];
    spec.environment.insert("PATH".to_owned(), "/usr/bin".to_owned());
    assert!(tree.view().command(&spec).is_some(), "its own PATH counts");
}

#[test]
fn a_program_that_may_run_is_no_obstacle() {
    let tree = Tree::new();
    for program in ["/opt/run", "run", "/bin/sh", "/tmp/none", "./none"] {
        assert_eq!(tree.obstacle(program), None, "{program}");
    }
    let unknown = HostView { path: None, ..tree.view() };
    assert_eq!(unknown.command(&spec("none")), None);
    let relative = HostView { path: Some("/usr/bin:."), ..tree.view() };
    assert_eq!(relative.command(&spec("none")), None);
    assert_eq!(tree.script("#!/tmp/sh"), None);
    assert_eq!(tree.script("#!./sh"), None, "the state directory does not exist yet");
}

#[test]
fn the_interpreters_of_a_script_are_followed() {
    let tree = Tree::new();
    let message = tree.script("#!/bin/sh\r").unwrap();
    assert!(
        message.starts_with("/opt/script: its interpreter /bin/sh\\r is not there"),
        "{message}"
    );
    assert!(message.contains("Windows"), "{message}");
    let message = tree.script("#!/opt/gone/venv/bin/python").unwrap();
    assert!(message.contains("/opt/gone/venv/bin/python is not there: install it"), "{message}");
    let message = tree.script("#!/opt/plain").unwrap();
    assert!(message.contains("its interpreter /opt/plain is not executable"), "{message}");
    tree.write("opt/wrap", 0o755, b"#!/gone/sh\n");
    let message = tree.script("#!/opt/wrap").unwrap();
    assert!(message.contains("/gone/sh is not there"), "{message}");
    assert!(message.contains("the first line of /opt/wrap"), "{message}");
    let message = tree.script("#!/opt/script").unwrap();
    assert!(message.contains("more than 5 interpreters"), "{message}");
    tree.write("opt/here/sh", 0o755, b"#!/bin/sh\n");
    let mut spec = spec("/opt/script");
    spec.directory = Some("/opt/here".parse().unwrap());
    assert_eq!(tree.script("#!sh"), None);
    assert_eq!(tree.view().command(&spec), None, "relative to the working directory");
}

#[test]
fn a_text_without_an_interpreter_and_a_program_for_another_machine_are_obstacles() {
    let tree = Tree::new();
    tree.write("opt/text", 0o755, b"echo hi\n");
    let message = tree.obstacle("/opt/text").unwrap();
    assert!(message.contains("neither a program nor a script"), "{message}");
    tree.write("opt/empty", 0o755, b"");
    assert!(tree.obstacle("/opt/empty").is_some());
    let mut foreign = fs::read(tree.0.path().join("bin/sh")).unwrap();
    // IBM S/390
    foreign[18..20].copy_from_slice(&22_u16.to_le_bytes());
    tree.write("opt/foreign", 0o755, &foreign);
    let message = tree.obstacle("/opt/foreign").unwrap();
    assert!(message.contains("is a program for machine type 22"), "{message}");
    // A format that is registered for an emulator runs.
    tree.write("proc/sys/fs/binfmt_misc/status", 0o644, b"enabled\n");
    assert!(tree.obstacle("/opt/foreign").is_some());
    let qemu = b"enabled\ninterpreter /qemu\nflags: F\noffset 0\nmagic 7f454c46\n";
    tree.write("proc/sys/fs/binfmt_misc/qemu", 0o644, qemu);
    assert_eq!(tree.obstacle("/opt/foreign"), None);
    assert!(tree.obstacle("/opt/text").is_some());
    fs::remove_file(tree.0.path().join("proc/sys/fs/binfmt_misc/status")).unwrap();
    assert_eq!(tree.obstacle("/opt/text"), None, "the list is not mounted");
}

#[test]
fn a_program_whose_loader_is_missing_is_reported() {
    let tree = Tree::new();
    let own = fs::read(tree.0.path().join("bin/sh")).unwrap();
    let ExecutableFormat::Elf { loader: Some(loader), .. } = ExecutableFormat::read(&own) else {
        return;
    };
    fs::remove_file(tree.0.path().join(loader.trim_start_matches('/'))).unwrap();
    let message = tree.obstacle("/bin/sh").unwrap();
    assert!(message.contains(&format!("is loaded by {loader}, which is not there")), "{message}");
    let message = tree.obstacle("/opt/run").unwrap();
    assert!(message.starts_with("/opt/run: its interpreter /bin/sh is loaded by"), "{message}");
}

#[test]
fn directory_writable_paths_and_user_are_checked() {
    let tree = Tree::new();
    let mut spec = spec("/opt/run");
    assert_eq!(tree.view().obstacles(&spec), []);
    spec.user = Some("no-such-user".to_owned());
    spec.directory = Some("/srv/wt".parse().unwrap());
    spec.writable = vec!["/opt".parse().unwrap(), "/srv/out".parse().unwrap()];
    spec.command = vec!["/opt/none".to_owned()];
    let keys = |spec: &ExperimentSpec| -> Vec<&str> {
        tree.view().obstacles(spec).iter().map(Obstacle::key).collect()
    };
    assert_eq!(keys(&spec), ["user", "directory", "writable", "command"]);
    spec.directory = Some("/opt/run".parse().unwrap());
    let message = tree.view().directory(&spec).unwrap().to_string();
    assert_eq!(message, "/opt/run is not a directory: change `directory`");
}

#[test]
fn a_name_that_env_does_not_find_is_no_obstacle() {
    let tree = Tree::new();
    tree.write("usr/bin/env", 0o755, b"#!/bin/sh\n");
    let unknown = |first_line: &str| {
        assert_eq!(tree.script(first_line), None, "{first_line}");
        Some(tree.view().unknown_to_env(&spec("/opt/script"))?.to_string())
    };
    assert_eq!(unknown("#!/usr/bin/env run"), None);
    assert_eq!(unknown("#!/usr/bin/env -S run -u"), None);
    let message = unknown("#!/usr/bin/env python9").unwrap();
    assert!(message.starts_with("/opt/script: env finds no python9"), "{message}");
    assert!(unknown("#!/usr/bin/env run\r").unwrap().contains("Windows"));
    assert!(unknown("#!/usr/bin/env run -u").unwrap().contains("env -S"));
}
