//! A writer that does not finish.

use std::path::Path;

use rusqlite::Connection;

/// An open write transaction on a database.
pub(crate) struct Lock {
    connection: Connection,
}

impl Lock {
    /// Takes the write lock.
    pub(crate) fn hold(database: &Path) -> Self {
        let connection = Connection::open(database).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(120)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { connection }
    }

    /// Releases the lock; nothing was written.
    pub(crate) fn release(self) {
        self.connection.execute_batch("ROLLBACK").unwrap();
    }
}
