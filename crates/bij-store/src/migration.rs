//! Brings a database to the schema that this program knows.
//!
//! One file a schema version, never edited after its release; `PRAGMA user_version` says how many
//! have been applied. Each runs in a transaction of its own, so a kill between two leaves a
//! database that the next opening carries on.

use rusqlite::{Connection, TransactionBehavior};

use crate::failure::Failure;

/// The schema that each leads to, and how.
const MIGRATIONS: [(i64, &str); 1] = [(1, include_str!("../migrations/0001-ledger.sql"))];

/// The newest schema this program knows.
pub(crate) const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// `PRAGMA application_id` of bij's databases (`file(1)` and others can tell them by it): "bij" and
/// a format number.
pub(crate) const APPLICATION_ID: i32 = 0x6269_6a01;

/// Which schema a database has; 0 is an empty one.
///
/// Refuses a database of somebody else's, and one that a newer bij has written.
pub(crate) fn version(connection: &Connection) -> Result<i64, Failure> {
    // Three questions are one answer: somebody may be making the schema between two of them.
    let _snapshot =
        connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let untouched = version == 0 && application == 0 && tables(connection)? == 0;
    if application != APPLICATION_ID && !untouched {
        return Err(Failure::NotOurs { application });
    }
    if version > KNOWN {
        return Err(Failure::Newer { found: version, known: KNOWN });
    }
    Ok(version)
}

/// Applies what is missing.
pub(crate) fn apply(connection: &mut Connection) -> Result<(), Failure> {
    if version(connection)? == KNOWN {
        return Ok(());
    }
    for (target, sql) in MIGRATIONS {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Somebody else may have been faster.
        if version(&step)? < target {
            step.execute_batch(sql)?;
            step.pragma_update(None, "user_version", target)?;
            step.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        step.commit()?;
    }
    Ok(())
}

fn tables(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use crate::open::{to_read, to_write};

    #[test]
    fn a_database_in_the_making_is_nobody_elses() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("state.db");
            let maker = {
                let path = path.clone();
                thread::spawn(move || to_write(&path, Duration::from_secs(5)).map(drop))
            };
            while to_read(&path).unwrap().is_none() {}
            maker.join().unwrap().unwrap();
        }
    }
}
