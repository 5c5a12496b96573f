//! What the schema enforces for every writer.

use std::fs;
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, Ledger, LedgerError, RunQueue};
use bij_core::queue::EventKind;
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh, restart};
use bij_sim::contract::run_queue_fixture as queue;
use bij_store::{Reader, Store};
use rusqlite::Connection;
use tempfile::TempDir;

/// A database with three crashes in one run and a success in the next, and a shell on it.
fn database_with_attempts() -> (TempDir, PathBuf, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut store = Store::open(&database).unwrap();
    let saved = fixture::with_checkpoint(3, fixture::segfault());
    let attempts = [
        (fresh("x", 1, 1), fixture::oom_kill()),
        (restart("x", 1, 2), saved),
        (restart("x", 1, 3), fixture::segfault()),
        (fresh("x", 1, 4), fixture::success()),
    ];
    for (opening, evidence) in attempts {
        store.open(&opening).unwrap();
        store.close(&end(&opening, evidence)).unwrap();
    }
    let shell = Connection::open(&database).unwrap();
    shell.pragma_update(None, "foreign_keys", true).unwrap();
    (directory, database, shell)
}

#[test]
fn no_writer_can_change_ended_attempts_and_runs() {
    let (_directory, _, shell) = database_with_attempts();
    for (change, refusal) in [
        ("UPDATE attempts SET cause = 'success' WHERE id = 1", "has ended is never changed"),
        ("UPDATE attempts SET ended = NULL, cause = NULL, evidence = NULL", "is never changed"),
        ("UPDATE attempts SET number = 9 WHERE id = 4", "keeps its place"),
        ("UPDATE runs SET ended_by = 'success' WHERE number = 1", "is never changed"),
        ("UPDATE experiments SET crashes = 0", "counters never go back"),
        ("UPDATE experiments SET attempts = attempts - 1", "counters never go back"),
        ("DELETE FROM attempts WHERE id = 4", "never removed"),
        ("DELETE FROM experiments", "FOREIGN KEY"),
        (
            "INSERT INTO attempts (experiment, run, number, boot, invocation, started, ended, cause, evidence)
             VALUES (1, 1, 9, 'b', 'i', 0, 0, 'success', '{}')",
            "opened before it ends",
        ),
        (
            "INSERT INTO attempts (experiment, run, number, boot, invocation, started)
             SELECT 1, 1, 9, boot, invocation, 0 FROM attempts WHERE id = 1",
            "UNIQUE",
        ),
    ] {
        let refused = shell.execute(change, []).unwrap_err().to_string();
        assert!(refused.contains(refusal), "{change}: {refused}");
    }
}

#[test]
fn no_writer_can_remove_open_runs_or_change_events() {
    let (_directory, database, shell) = database_with_attempts();
    let mut store = Store::open(&database).unwrap();
    store.submit(&[queue::submission("y")], fixture::at(0)).unwrap();
    for (change, refusal) in [
        ("DELETE FROM queue", "leaves the queue when it ends"),
        ("UPDATE queue SET experiment = 1", "of one experiment"),
        ("UPDATE queue SET state = 'held'", "CHECK"),
        ("UPDATE queue SET state = 'bored'", "CHECK"),
        (
            "INSERT INTO queue (run, experiment, state, place, submitted, submitter, origin)
             VALUES (1, 1, 'waiting', 9, 0, 'me', 'submit')",
            "does not come back",
        ),
        ("UPDATE runs SET number = 9 WHERE id = 1", "keeps its number"),
        ("DELETE FROM runs WHERE number = 2", "never removed"),
        ("DELETE FROM runs WHERE ended_by IS NULL", "never removed"),
        ("UPDATE events SET at = 0", "never changed"),
        ("UPDATE runs SET ended_by = 'bored' WHERE ended_by IS NULL", "CHECK"),
    ] {
        let refused = shell.execute(change, []).unwrap_err().to_string();
        assert!(refused.contains(refusal), "{change}: {refused}");
    }
    // Ending a run removes it from the queue and records the event.
    shell.execute("UPDATE runs SET ended_by = 'cancelled' WHERE ended_by IS NULL", []).unwrap();
    assert_eq!(store.load().unwrap().runs, []);
    let last = store.events(0, 99).unwrap().pop().unwrap();
    assert_eq!((last.kind, &*last.data["end"]), (EventKind::RunEnded, "cancelled"));
}

#[test]
fn counters_and_numbers_stay_when_old_attempts_are_removed() {
    let (_directory, database, shell) = database_with_attempts();
    let mut store = Store::open(&database).unwrap();
    let id = fixture::experiment("x");
    let before = store.tally(&id).unwrap();
    shell.execute("DELETE FROM attempts WHERE id < 4", []).unwrap();
    assert_eq!(store.tally(&id).unwrap(), before);
    assert_eq!(store.tallies().unwrap()[&id], before);
    let next = fresh("x", 1, 5);
    let opened = store.open(&next).unwrap();
    assert_eq!((opened.run.number.0, opened.attempt.0), (3, 1));
    assert_eq!(opened.before.crashes, 3);
    let again = store.open(&next).unwrap();
    assert_eq!((again.before.attempts, again.before.crashes), (4, 3));
}

#[test]
fn a_database_of_a_newer_bij_is_left_alone() {
    let (_directory, database, shell) = database_with_attempts();
    shell.pragma_update(None, "user_version", 99).unwrap();
    let refused = Store::open(&database).unwrap_err();
    assert!(matches!(refused, LedgerError::Newer { found: 99, known: 7 }), "{refused:?}");
    let refused = Reader::new(database).tallies().unwrap_err();
    assert!(matches!(refused, LedgerError::Newer { found: 99, known: 7 }), "{refused:?}");
}

#[test]
fn another_programs_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let shell = Connection::open(&database).unwrap();
    shell.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    drop(shell);
    let refused = Store::open(&database).unwrap_err();
    assert!(matches!(refused, LedgerError::Other(_)), "{refused:?}");
    let shell = Connection::open(&database).unwrap();
    let tables: i64 =
        shell.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn an_empty_file_becomes_a_database() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    fs::write(&database, "").unwrap();
    let mut store = Store::open(&database).unwrap();
    store.open(&fresh("x", 1, 1)).unwrap();
    assert_eq!(Reader::new(database).tallies().unwrap().len(), 1);
}

#[test]
fn a_value_that_bij_never_writes_is_reported_as_corruption() {
    let (_directory, database, shell) = database_with_attempts();
    shell
        .execute_batch(
            "DROP TRIGGER attempt_ended_is_final;
             UPDATE attempts SET cause = 'bored' WHERE id = 4;",
        )
        .unwrap();
    let error = Store::open(&database).unwrap().attempts(&AttemptQuery::default()).unwrap_err();
    assert!(matches!(error, LedgerError::Corrupt(_)), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "row 4: cause cannot be read");
}

#[test]
fn frequent_queries_use_an_index() {
    let (_directory, _, shell) = database_with_attempts();
    for query in [
        "SELECT * FROM attempts WHERE boot = 'b' AND invocation = 'i'",
        "SELECT * FROM attempts WHERE experiment = 1 ORDER BY id DESC LIMIT 1",
        "SELECT * FROM attempts a INDEXED BY attempts_open
         WHERE experiment = 1 AND ended IS NULL ORDER BY a.id",
    ] {
        let plan: String = shell
            .query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |row| row.get("detail"))
            .unwrap();
        assert!(plan.contains("USING INDEX"), "{query}: {plan}");
    }
}

#[test]
fn the_log_stays_short_when_every_process_writes_once() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut longest = 0;
    for number in 1..=120 {
        let opening = restart("x", 1, number);
        Store::open(&database).unwrap().open(&opening).unwrap();
        let closing = end(&opening, fixture::segfault());
        Store::open(&database).unwrap().close(&closing).unwrap();
        longest = longest.max(fs::metadata(directory.path().join("state.db-wal")).unwrap().len());
    }
    assert!(longest > 100_000, "it is not rewritten for every attempt: {longest}");
    assert!(longest < 1_500_000, "the next open has to read it: {longest}");
}
