//! The program as systemd starts it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use proptest::prelude::*;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Runs a command with an environment file of these bytes, after the one variable that every file has.
    fn exec(&self, environment: &str, command: &[&str]) -> Output {
        self.command(environment, command).output().unwrap()
    }

    fn command(&self, environment: &str, command: &[&str]) -> Command {
        let file = self.path("environment");
        let own = format!("BIJ_EXPERIMENT=x\0{environment}");
        fs::write(&file, own).unwrap();
        let mut exec = Command::new(env!("CARGO_BIN_EXE_bij-exec"));
        exec.arg(file).arg("--").args(command).env_clear().current_dir(self.0.path());
        exec
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns the message of a failure, whose status is that of systemd.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(203), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_file_overrides_the_variables_that_systemd_set() {
    let directory = Directory::new();
    let mut command = directory.command("A=file\0LD_LIBRARY_PATH=/opt/cuda\0", &["/usr/bin/env"]);
    command.env("A", "systemd").env("NOTIFY_SOCKET", "/run/x");
    let output = text(&command.output().unwrap());
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    let expected =
        ["A=file", "BIJ_EXPERIMENT=x", "LD_LIBRARY_PATH=/opt/cuda", "NOTIFY_SOCKET=/run/x"];
    assert_eq!(lines, expected);
}

#[test]
fn the_program_takes_the_place_of_the_launcher() {
    let directory = Directory::new();
    let child = directory.command("", &["/bin/sh", "-c", "echo $$"]);
    let mut child = { child }.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let launcher = child.id();
    let output = {
        child.wait().unwrap();
        child.wait_with_output().unwrap()
    };
    assert_eq!(text(&output).trim(), launcher.to_string());
}

#[test]
fn a_bare_name_is_looked_up_in_the_experiments_own_path() {
    let directory = Directory::new();
    directory.script("venv/bin/python3", "#!/bin/sh\necho venv\n");
    let path = format!("PATH=/nonexistent:{}\0", directory.path("venv/bin").display());
    let mut command = directory.command(&path, &["python3"]);
    assert_eq!(text(&command.env("PATH", "/usr/bin").output().unwrap()), "venv\n");
}

#[test]
fn a_link_keeps_its_name_as_the_programs_name() {
    let directory = Directory::new();
    symlink("/bin/sh", directory.path("sh-link")).unwrap();
    for name in ["./sh-link", "./././sh-link"] {
        assert_eq!(text(&directory.exec("", &[name, "-c", "echo $0"])), format!("{name}\n"));
    }
}

#[test]
fn a_program_that_cannot_be_executed_has_systemds_status_and_a_remedy() {
    let directory = Directory::new();
    let script = directory.script("no-interpreter", "echo never\n");
    let message = refusal(&directory.exec("", &[script.to_str().unwrap()]));
    assert!(message.contains("a script begins with #!"), "{message}");
    let message = refusal(&directory.exec("", &["/nonexistent/program"]));
    assert!(message.contains("cannot execute /nonexistent/program: No such file"), "{message}");
    let message = refusal(&directory.exec("PATH=/nonexistent\0", &["program"]));
    assert!(message.contains("in no directory of the experiment's PATH"), "{message}");
    let message = refusal(&directory.exec("", &["/etc/passwd"]));
    assert!(message.contains("chmod +x"), "{message}");
    let message = refusal(&directory.exec("", &["/"]));
    assert!(message.contains("Permission denied"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    refusal(&directory.exec("", &[""]));
}

#[test]
fn a_missing_environment_starts_nothing() {
    let directory = Directory::new();
    let mut command = directory.command("", &["/bin/echo", "ran"]);
    fs::remove_file(directory.path("environment")).unwrap();
    let output = command.output().unwrap();
    assert!(refusal(&output).contains("start the unit again"), "{output:?}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_manager_gets_the_reason_before_the_process_is_gone() {
    let directory = Directory::new();
    let socket = directory.path("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut command = directory.command("", &["/nonexistent/program"]);
    let mut child = command.env("NOTIFY_SOCKET", &socket).spawn().unwrap();
    let mut buffer = [0; 512];
    let length = manager.recv(&mut buffer).unwrap();
    let message = str::from_utf8(&buffer[..length]).unwrap();
    let status = message.strip_prefix("ERRNO=2\nSTATUS=").unwrap();
    assert!(status.starts_with("cannot execute /nonexistent/program: No such file"), "{message}");
    // The manager has not read the barrier yet.
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "it is gone before its message was read");
    // The kernel closes descriptors that the receiver does not take.
    let length = manager.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"BARRIER=1");
    assert_eq!(child.wait().unwrap().code(), Some(203));
}

#[test]
fn wrong_arguments_are_a_usage_error() {
    for arguments in [&[][..], &["file"], &["file", "--"], &["file", "/bin/true"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bij-exec"));
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    assert!(Path::new("/bin/true").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_command_reaches_the_process_unchanged(
        arguments in proptest::collection::vec("[^\0]{0,12}", 0..6),
        value in "[^\0]{0,30}",
    ) {
        let directory = Directory::new();
        let script = "printf '%s\\0' \"$VALUE\" \"$0\" \"$@\"";
        let mut command = vec!["/bin/sh", "-c", script, "zero"];
        command.extend(arguments.iter().map(String::as_str));
        let output = text(&directory.exec(&format!("VALUE={value}\0"), &command));
        let words: Vec<&str> = output.split_terminator('\0').collect();
        let mut expected = vec![value.as_str(), "zero"];
        expected.extend(arguments.iter().map(String::as_str));
        prop_assert_eq!(words, expected);
    }
}
