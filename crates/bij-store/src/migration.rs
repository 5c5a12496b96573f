//! Upgrades a database to the schema of this program.
//!
//! Each schema version is one file, which is never edited after its release; `PRAGMA user_version` is the
//! number of the last one applied. All missing ones run in one transaction, so a kill leaves the database
//! unchanged, and a reader never sees an incomplete schema.

use rusqlite::{Connection, TransactionBehavior};

use crate::database_error::DatabaseError;

/// Schema versions, each with the SQL that upgrades to it.
const MIGRATIONS: [(i64, &str); 7] = [
    (1, include_str!("../migrations/0001-ledger.sql")),
    (2, include_str!("../migrations/0002-queue.sql")),
    (3, include_str!("../migrations/0003-stop.sql")),
    (4, include_str!("../migrations/0004-board.sql")),
    (5, include_str!("../migrations/0005-power.sql")),
    (6, include_str!("../migrations/0006-clocks.sql")),
    (7, include_str!("../migrations/0007-clock-of-the-boot.sql")),
];

/// Newest schema version that this program knows.
pub(crate) const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// `PRAGMA application_id` of bij's databases, by which file(1) recognizes them: "bij" and a format
/// number.
pub(crate) const APPLICATION_ID: i32 = 0x6269_6a01;

/// Returns the schema version of a database; 0 if it is empty.
///
/// # Errors
/// [`DatabaseError::NotOurs`] for another program's database, [`DatabaseError::Newer`] for one that a newer
/// bij has written.
pub(crate) fn version(connection: &Connection) -> Result<i64, DatabaseError> {
    // One snapshot for all three queries: another process may be creating the schema.
    let _snapshot =
        connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let untouched = version == 0 && application == 0 && tables(connection)? == 0;
    if application != APPLICATION_ID && !untouched {
        return Err(DatabaseError::NotOurs { application });
    }
    if version > KNOWN {
        return Err(DatabaseError::Newer { found: version, known: KNOWN });
    }
    Ok(version)
}

/// Applies the missing migrations.
pub(crate) fn apply(connection: &mut Connection) -> Result<(), DatabaseError> {
    if version(connection)? == KNOWN {
        return Ok(());
    }
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let found = version(&step)?;
    for (target, sql) in MIGRATIONS.into_iter().filter(|(target, _)| *target > found) {
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", target)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    step.commit()?;
    Ok(())
}

fn tables(connection: &Connection) -> Result<i64, DatabaseError> {
    Ok(connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use bij_core::Timestamp;
    use bij_core::port::{AttemptQuery, Ledger, RunQueue};
    use bij_core::queue::{NotBefore, QueueState};
    use bij_sim::contract::ledger_fixture::{experiment, fresh};
    use rusqlite::Connection;

    use super::{APPLICATION_ID, MIGRATIONS};
    use crate::Store;
    use crate::open::{for_reading, for_writing};

    #[test]
    fn open_runs_of_schema_1_are_in_the_queue_after_the_upgrade() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let older = Connection::open(&path).unwrap();
        older.execute_batch(MIGRATIONS[0].1).unwrap();
        older.pragma_update(None, "user_version", 1).unwrap();
        older.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        older
            .execute_batch(
                "INSERT INTO experiments (id, name) VALUES (1, 'x');
                 INSERT INTO runs (experiment, number, ended_by) VALUES (1, 1, 'gave-up');
                 INSERT INTO runs (experiment, number) VALUES (1, 2);
                 INSERT INTO attempts (experiment, run, number, boot, invocation, started)
                     VALUES (1, 2, 1, printf('%032x', 1), printf('%032x', 1), 5)",
            )
            .unwrap();
        drop(older);
        let mut store = Store::open(&path).unwrap();
        let runs = store.load().unwrap().runs;
        assert_eq!(runs.len(), 1);
        assert_eq!(
            (runs[0].run.to_string(), &runs[0].state),
            ("x#2".to_owned(), &QueueState::Running)
        );
        assert_eq!(runs[0].submitted.as_micros(), 5);
        let opened = store.open(&fresh("x", 9, 2)).unwrap();
        assert_eq!((opened.run.number.0, opened.attempt.0), (2, 2));
        assert_eq!(store.tally(&experiment("x")).unwrap().attempts, 2);
    }

    #[test]
    fn rows_of_schema_6_have_times_of_day_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let older = Connection::open(&path).unwrap();
        for (_, sql) in &MIGRATIONS[..6] {
            older.execute_batch(sql).unwrap();
        }
        older.pragma_update(None, "user_version", 6).unwrap();
        older.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        older
            .execute_batch(
                "INSERT INTO experiments (id, name) VALUES (1, 'x');
                 INSERT INTO runs (id, experiment, number) VALUES (1, 1, 1), (2, 1, 2);
                 INSERT INTO attempts (experiment, run, number, boot, invocation, started)
                     VALUES (1, 1, 1, printf('%032x', 1), printf('%032x', 1), 5);
                 INSERT INTO queue (run, experiment, state, priority, place, group_name, gpu,
                         not_before, now, submitted, extras, submitter, origin)
                     VALUES (2, 1, 'waiting', 0, 9, 'default', 'none', 7, 0, 5, '', 'a', 'submit');",
            )
            .unwrap();
        drop(older);
        let store = Store::open(&path).unwrap();
        let runs = store.load().unwrap().runs;
        let waiting = runs.iter().find(|run| run.run.number.0 == 2).unwrap();
        let due = Timestamp::from_micros(7);
        assert_eq!(waiting.terms.not_before, Some(NotBefore::At(due)));
        let attempts = store.attempts(&AttemptQuery::default()).unwrap();
        assert_eq!((attempts.len(), attempts[0].started_uptime), (1, None));
    }

    #[test]
    fn a_database_that_is_being_created_is_not_taken_for_another_programs() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("state.db");
            let creator = {
                let path = path.clone();
                thread::spawn(move || for_writing(&path, Duration::from_secs(5)).map(drop))
            };
            while for_reading(&path).unwrap().is_none() {}
            creator.join().unwrap().unwrap();
        }
    }
}
