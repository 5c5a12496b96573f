//! The hooks as processes, called as systemd calls them, over a tree of their own.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bij_core::port::{AttemptQuery, Ledger as _};
use bij_core::{Attempt, Cause, Layout, Witness};
use bij_store::RobustLedger;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.boot(1);
        tree.write("proc/self/cgroup", "0::/brain.slice/brain-experiment@x.service\n");
        tree.write("sys/fs/cgroup/cgroup.controllers", "memory\n");
        tree.write(
            "sys/fs/cgroup/brain.slice/brain-experiment@x.service/memory.events",
            "max 0\noom_kill 0\n",
        );
        tree
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn boot(&self, number: u32) {
        let id = format!("{number:08x}-0000-0000-0000-000000000000\n");
        self.write("proc/sys/kernel/random/boot_id", &id);
    }

    fn layout(&self) -> Layout {
        Layout::system(self.0.path())
    }

    /// Defines an experiment; returns the stamp that its drop-in is rendered with.
    fn define(&self, id: &str) -> String {
        let name = format!("etc/brain-in-jar/experiments/{id}.toml");
        self.write(&name, "command = [\"/bin/true\"]\n");
        // Only the unit can see its interpreter.
        self.write("bin/true", "#!/tmp/sh\n");
        let program = self.0.path().join("bin/true");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        let host = bij_host::HostContext::system(self.0.path());
        let definitions = bij_definition::Definitions::new(self.layout());
        assert_eq!(bij_hook::render_missing(&host, &definitions).failures.len(), 0);
        let text = fs::read_to_string(self.layout().drop_in(&id.parse().unwrap())).unwrap();
        let (_, stamp) = text.split_once("BIJ_STAMP=").unwrap();
        stamp.chars().take_while(char::is_ascii_hexdigit).collect()
    }

    fn hook(&self, verb: &str, id: &str, invocation: u32) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bij-hook"));
        command.arg("--root").arg(self.0.path()).arg(verb).arg(id).env_clear();
        command.env("INVOCATION_ID", format!("{invocation:032x}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn begin(&self, id: &str, invocation: u32, stamp: &str) -> String {
        let output = self.hook("start", id, invocation).env("BIJ_STAMP", stamp).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::read_to_string(self.layout().sealed_environment(&id.parse().unwrap())).unwrap()
    }

    fn end(&self, id: &str, invocation: u32, result: &str, code: &str, status: &str) -> Command {
        let mut command = self.hook("end", id, invocation);
        command.env("SERVICE_RESULT", result).env("EXIT_CODE", code).env("EXIT_STATUS", status);
        command
    }

    fn attempts(&self, id: &str) -> Vec<Attempt> {
        let mut ledger = RobustLedger::at(&self.layout());
        ledger.apply_spool().unwrap();
        let experiment = Some(id.parse().unwrap());
        ledger.attempts(&AttemptQuery { experiment, ..AttemptQuery::default() }).unwrap()
    }
}

fn causes(attempts: &[Attempt]) -> Vec<Option<Cause>> {
    attempts.iter().map(|attempt| attempt.end.as_ref().map(|end| end.cause)).collect()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_attempt_is_logged_from_start_to_end() {
    let tree = Tree::new();
    let stamp = tree.define("x");
    let environment = tree.begin("x", 1, &stamp);
    assert!(environment.starts_with("HOME="), "{environment:?}");
    assert!(
        environment.contains("/experiments/x\0BIJ_EXPERIMENT=x\0BIJ_STATE_DIR="),
        "{environment:?}"
    );
    assert!(
        environment.ends_with("\0BIJ_RUN=x#1\0BIJ_ATTEMPT=1\0BIJ_CRASHES=0\0"),
        "{environment:?}"
    );
    tree.write(
        "sys/fs/cgroup/brain.slice/brain-experiment@x.service/memory.events",
        "max 3\noom_kill 1\n",
    );
    tree.write("sys/fs/cgroup/brain.slice/brain-experiment@x.service/memory.peak", "67108864\n");
    tree.write("sys/fs/cgroup/brain.slice/brain-experiment@x.service/memory.max", "67108864\n");
    let stderr = succeeded(&tree.end("x", 1, "signal", "killed", "KILL").output().unwrap());
    assert!(
        stderr.contains("attempt 1 of x#1 died: killed for memory at 64.0M of 64.0M after "),
        "{stderr}"
    );
    assert!(stderr.contains("; crash 1\n"), "{stderr}");
    let attempts = tree.attempts("x");
    assert_eq!(causes(&attempts), [Some(Cause::OomKill)]);
    assert_eq!(attempts[0].end.as_ref().unwrap().evidence.oom_kills, Some(1));
}

#[test]
fn what_the_main_process_leaves_behind_is_noted_before_its_end_and_logged_with_it() {
    let group = "sys/fs/cgroup/brain.slice/brain-experiment@x.service/cgroup.procs";
    let tree = Tree::new();
    let stamp = tree.define("x");
    tree.begin("x", 1, &stamp);
    tree.write(group, "7\n8\n");
    tree.write("proc/7/stat", "7 (sh) S 1 1 1\n");
    tree.write("proc/8/stat", "8 (sleep) S 7 1 1\n");
    let mut noted = tree.hook("leftovers", "x", 1);
    succeeded(&noted.env("EXIT_CODE", "exited").env("EXIT_STATUS", "0").output().unwrap());
    tree.write(group, "");
    let stderr = succeeded(&tree.end("x", 1, "success", "exited", "0").output().unwrap());
    assert!(stderr.contains("; 2 processes were left behind and killed (sh, sleep)\n"), "{stderr}");
    // After a stop request the main process is still among them.
    tree.begin("x", 2, &stamp);
    tree.write(group, "7\n8\n");
    succeeded(&tree.hook("leftovers", "x", 2).output().unwrap());
    let stderr = succeeded(&tree.end("x", 2, "success", "killed", "TERM").output().unwrap());
    assert!(!stderr.contains("left behind"), "{stderr}");
}

#[test]
fn a_start_without_a_definition_is_refused_with_78_and_the_remedy() {
    let tree = Tree::new();
    succeeded(&tree.hook("start", "y", 1).output().unwrap());
    let refused = tree.hook("refuse", "y", 1).output().unwrap();
    assert_eq!(refused.status.code(), Some(78));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("there is no experiment y; looked for "), "{stderr}");
    assert!(stderr.contains("hint: write "), "{stderr}");
    tree.write("etc/brain-in-jar/experiments/y.toml", "comand = []\n");
    let stderr = String::from_utf8(tree.hook("refuse", "y", 1).output().unwrap().stderr).unwrap();
    assert!(stderr.contains("y.toml:1: "), "{stderr}");
    assert!(stderr.contains("command"), "{stderr}");
    succeeded(&tree.end("y", 1, "exit-code", "exited", "78").output().unwrap());
    assert_eq!(tree.attempts("y"), []);
}

#[test]
fn a_name_that_is_no_experiment_reaches_no_path() {
    let tree = Tree::new();
    for id in ["../x", "%i", "a b", "x/y", ""] {
        let output = tree.hook("start", id, 1).output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{id}: a skip would hide it");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("names no experiment"), "{stderr}");
        assert_eq!(tree.hook("begin", id, 1).output().unwrap().status.code(), Some(255));
    }
    let output = tree.hook("rescue", "x", 1).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(255),
        "a skip would hide that the unit is another version's"
    );
    assert!(!tree.layout().state().exists());
}

#[test]
fn an_end_killed_at_any_moment_loses_no_crash_and_counts_none_twice() {
    let tree = Tree::new();
    let stamp = tree.define("x");
    let mut killed = 0;
    for invocation in 1..=24 {
        tree.begin("x", invocation, &stamp);
        let mut end = tree.end("x", invocation, "signal", "killed", "KILL").spawn().unwrap();
        std::thread::sleep(Duration::from_micros(u64::from(invocation) * 300));
        end.kill().unwrap();
        killed += u32::from(end.wait().unwrap().signal() == Some(9));
    }
    assert!(killed > 0, "every `end` was faster than its killer");
    // The next start closes every attempt that is open.
    let environment = tree.begin("x", 25, &stamp);
    assert!(environment.contains("BIJ_CRASHES=24\0"), "{environment}");
    let attempts = tree.attempts("x");
    assert_eq!(attempts.len(), 25);
    for attempt in &attempts[..24] {
        let end = attempt.end.as_ref().unwrap();
        match end.evidence.witness {
            Some(Witness::Hook) => assert_eq!(end.cause, Cause::Signal),
            Some(Witness::NextStart) => assert_eq!(end.cause, Cause::Unknown),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_begin_killed_at_any_moment_leaves_nothing_that_stops_the_next() {
    let tree = Tree::new();
    let stamp = tree.define("x");
    for invocation in 1..=16 {
        let mut begin =
            tree.hook("begin", "x", invocation).env("BIJ_STAMP", &stamp).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(u64::from(invocation) * 400));
        begin.kill().unwrap();
        begin.wait().unwrap();
        succeeded(&tree.end("x", invocation, "signal", "killed", "KILL").output().unwrap());
    }
    tree.begin("x", 17, &stamp);
    let attempts = tree.attempts("x");
    assert!(attempts[..attempts.len() - 1].iter().all(|attempt| attempt.end.is_some()));
}

#[test]
fn two_ends_in_one_moment_are_two_crashes() {
    let tree = Tree::new();
    let ids: Vec<String> = (0..8).map(|number| format!("e{number}")).collect();
    for (invocation, id) in (1..).zip(&ids) {
        let stamp = tree.define(id);
        tree.begin(id, invocation, &stamp);
    }
    let start = |(invocation, id): (u32, &String)| {
        tree.end(id, invocation, "exit-code", "exited", "3").spawn().unwrap()
    };
    let ends: Vec<Child> = (1..).zip(&ids).map(start).collect();
    for end in ends {
        succeeded(&end.wait_with_output().unwrap());
    }
    for id in &ids {
        assert_eq!(causes(&tree.attempts(id)), [Some(Cause::Exit)], "{id}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_bypassed_and_filled_later() {
    let tree = Tree::new();
    let stamp = tree.define("x");
    tree.begin("x", 1, &stamp);
    let database = tree.layout().database();
    let aside = database.with_extension("aside");
    for file in ["", "-wal", "-shm"] {
        let name = format!("{}{file}", database.display());
        drop(fs::rename(&name, format!("{}{file}", aside.display())));
    }
    fs::create_dir(&database).unwrap();
    let stderr = succeeded(&tree.end("x", 1, "watchdog", "killed", "ABRT").output().unwrap());
    assert!(stderr.contains("set aside in ") && stderr.contains("\"watchdog\""), "{stderr}");
    fs::remove_dir(&database).unwrap();
    for file in ["", "-wal", "-shm"] {
        let name = format!("{}{file}", aside.display());
        drop(fs::rename(&name, format!("{}{file}", database.display())));
    }
    assert_eq!(causes(&tree.attempts("x")), [Some(Cause::Watchdog)]);
}

#[test]
fn a_boot_without_a_shutdown_is_a_power_cut() {
    let tree = Tree::new();
    let (a, b) = (tree.define("a"), tree.define("b"));
    tree.begin("a", 1, &a);
    tree.begin("b", 2, &b);
    tree.boot(2);
    let mut boot = Command::new(env!("CARGO_BIN_EXE_bij-hook"));
    boot.arg("--root").arg(tree.0.path()).arg("boot").env_clear();
    let stderr = succeeded(&boot.output().unwrap());
    assert!(
        stderr.contains("attempt 1 of a#1 died: the machine lost power or crashed"),
        "{stderr}"
    );
    for id in ["a", "b"] {
        assert_eq!(causes(&tree.attempts(id)), [Some(Cause::PowerLoss)], "{id}");
    }
}
