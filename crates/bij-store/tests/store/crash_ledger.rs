//! The example `crash_ledger`, as its reader would run it.

use std::path::{Path, PathBuf};
use std::process::Command;

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{Cause, Exit};
use bij_sim::contract::ledger_fixture as fixture;
use bij_store::{Reader, Store};

/// Returns the program, which cargo builds beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let build = tests.ancestors().nth(2).unwrap();
    let program = build.join("examples/crash_ledger");
    assert!(program.exists(), "{} is missing: build the examples, too", program.display());
    program
}

/// Runs a command under the ledger and returns the last line but one: the attempt.
fn run(database: &Path, name: &str, command: &[&str]) -> String {
    let output = Command::new(program()).arg(database).arg(name).args(command).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().rev().nth(1).unwrap().to_owned()
}

#[test]
fn it_records_how_commands_end() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let line = run(&database, "job", &["sh", "-c", "exit 3"]);
    assert!(line.starts_with("job#1\t1\t") && line.ends_with("\texit\tCode(3)"), "{line}");
    // Without a core dump, whatever the limit outside is.
    let line = run(&database, "job", &["sh", "-c", "ulimit -c 0; kill -SEGV $$"]);
    assert!(line.starts_with("job#2\t1\t") && line.ends_with("\tsignal\tSignal(11)"), "{line}");
    let line = run(&database, "job", &["/nonexistent"]);
    assert!(line.ends_with("\tstart-failed\t"), "{line}");
    let line = run(&database, "job", &["true"]);
    assert!(line.ends_with("\tsuccess\tCode(0)"), "{line}");

    let reader = Reader::new(&database);
    let tally = reader.tally(&fixture::experiment("job")).unwrap();
    assert_eq!((tally.attempts, tally.crashes, tally.last_cause), (4, 3, Some(Cause::Success)));
    let attempts = reader.attempts(&AttemptQuery::default()).unwrap();
    let ends = attempts.iter().map(|attempt| attempt.end.as_ref().unwrap().evidence.exit);
    let segv = Some(Exit::Signal(11));
    assert_eq!(ends.collect::<Vec<_>>(), [Some(Exit::Code(3)), segv, None, Some(Exit::Code(0))]);
    assert!(
        attempts.iter().all(|attempt| attempt.end.as_ref().unwrap().evidence.ran_for.is_some())
    );
}

#[test]
fn it_closes_the_attempt_of_a_ledger_that_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let mut opening = fixture::fresh("job", 1, 1);
    opening.key.boot = boot.parse().unwrap();
    let mut store = Store::open(&database).unwrap();
    store.open(&opening).unwrap();
    store.open(&fixture::fresh("job", 1, 2)).unwrap();
    run(&database, "job", &["true"]);
    let attempts = store.attempts(&AttemptQuery::default()).unwrap();
    let causes: Vec<_> = attempts.iter().map(|it| it.end.as_ref().unwrap().cause).collect();
    assert_eq!(causes, [Cause::Unknown, Cause::PowerLoss, Cause::Success]);
}
