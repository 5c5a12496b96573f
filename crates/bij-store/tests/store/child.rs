//! Child processes: this test binary, started again with a task.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use bij_core::port::{AttemptQuery, Ledger, RunQueue};
use bij_sim::contract::ledger_fixture::{self as fixture, end, restart};
use bij_sim::contract::run_queue_fixture as queue;
use bij_store::{Reader, RobustLedger, Store};

use crate::faults;
use crate::lock::Lock;

const TASK: &str = "BIJ_STORE_TEST_TASK";
const NOBODY_UID: u32 = 65534;

/// The task of a child process.
pub(crate) enum Task<'a> {
    /// Read all attempts and report their number.
    Read,
    /// Lock the database for this many milliseconds.
    HoldLock(u64),
    /// Record attempts while the disk is full and after; no other process may use that disk.
    FillUp,
    /// Open and close `count` attempts of an experiment from number `first` on; every one ends in a crash.
    /// Reports `opened N` and `closed N` once the ledger has acknowledged it.
    RunAttempts { name: &'a str, first: u32, count: u32 },
    /// Submit runs of an experiment, one and three in turn, until killed. Reports `submitted N` for each
    /// run once the queue has acknowledged it.
    Submit { name: &'a str },
}

/// A child process; dropping it kills it.
pub(crate) struct ChildProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl ChildProcess {
    /// Starts a process on the database `state.db` and the spool `spool` of a directory.
    pub(crate) fn start(directory: &Path, task: &Task<'_>) -> Self {
        Self::start_within(&[], directory, task)
    }

    /// As [`ChildProcess::start`], run by another command, which gets the program as its last arguments.
    pub(crate) fn start_within(outer: &[&str], directory: &Path, task: &Task<'_>) -> Self {
        Self::spawn(command(outer, &env::current_exe().unwrap(), directory, task))
    }

    /// As [`ChildProcess::start`], as user `nobody` (if this process can), who cannot write in the directory.
    pub(crate) fn start_as_nobody(directory: &Path, task: &Task<'_>) -> Self {
        // That user might not be able to enter the directory of this binary.
        let binary = directory.join("tests");
        std::fs::copy(env::current_exe().unwrap(), &binary).unwrap();
        let mut command = command(&[], &binary, directory, task);
        if can_run_as_nobody() {
            command.uid(NOBODY_UID).gid(NOBODY_UID);
        }
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Returns its next report, without the lines of the test harness.
    pub(crate) fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, output)) = line.split_once("child: ") {
                return line.ends_with('\n').then(|| output.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }

    /// Kills it with SIGKILL, and returns the reports that were not read yet.
    pub(crate) fn kill(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Waits for its end, and returns its remaining reports.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        let output = std::iter::from_fn(|| self.next()).collect();
        assert!(self.child.wait().unwrap().success());
        output
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // A process that has ended already is no error.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether this process can start others as user `nobody`, which takes root.
pub(crate) fn can_run_as_nobody() -> bool {
    Command::new("true")
        .uid(NOBODY_UID)
        .gid(NOBODY_UID)
        .status()
        .is_ok_and(|status| status.success())
}

fn command(outer: &[&str], binary: &Path, directory: &Path, task: &Task<'_>) -> Command {
    let task = match task {
        Task::Read => "read".to_owned(),
        Task::HoldLock(millis) => format!("hold {millis}"),
        Task::FillUp => "fill-up".to_owned(),
        Task::RunAttempts { name, first, count } => format!("run-attempts {name} {first} {count}"),
        Task::Submit { name } => format!("submit {name}"),
    };
    let test = ["--exact", "child::child_process", "--nocapture", "--test-threads=1"];
    let mut words = outer.iter().map(AsRef::as_ref).chain([binary.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(test).env(TASK, task).current_dir(directory);
    command
}

/// Performs the task of a child process; does nothing when it runs as a normal test.
#[test]
fn child_process() {
    let Ok(task) = env::var(TASK) else { return };
    let words: Vec<&str> = task.split(' ').collect();
    let database = Path::new("state.db");
    match words[..] {
        ["read"] => {
            let attempts = Reader::new(database).attempts(&AttemptQuery::default());
            let tallies = Reader::new(database).tallies();
            report(&match (attempts, tallies) {
                (Ok(attempts), Ok(tallies)) => format!("{} of {}", attempts.len(), tallies.len()),
                (attempts, tallies) => format!("{attempts:?} {tallies:?}"),
            });
        }
        ["hold", millis] => {
            let lock = Lock::hold(database);
            report("held");
            thread::sleep(Duration::from_millis(millis.parse().unwrap()));
            lock.release();
        }
        ["fill-up"] => faults::record_attempts_on_a_full_disk(),
        ["run-attempts", name, first, count] => {
            run_attempts(name, first.parse().unwrap(), count.parse().unwrap());
        }
        ["submit", name] => submit(name),
        _ => panic!("unknown task: {task}"),
    }
}

fn run_attempts(name: &str, first: u32, count: u32) {
    let mut ledger = RobustLedger::new("state.db", "spool");
    for number in first..first + count {
        let opening = restart(name, 1, number);
        ledger.open(&opening).unwrap();
        report(&format!("opened {number}"));
        ledger.close(&end(&opening, fixture::segfault())).unwrap();
        report(&format!("closed {number}"));
    }
}

fn submit(name: &str) {
    let mut store = Store::open(Path::new("state.db")).unwrap();
    for runs in [1, 3].into_iter().cycle() {
        let submitted = store.submit(&vec![queue::submission(name); runs], fixture::at(0)).unwrap();
        for queued in submitted {
            report(&format!("submitted {}", queued.run.number));
        }
    }
}

/// Reports a line to the parent process.
pub(crate) fn report(text: &str) {
    // Not through the harness, which captures output.
    let mut out = std::io::stdout().lock();
    writeln!(out, "child: {text}").unwrap();
    out.flush().unwrap();
}
