//! Another writer.

use std::path::Path;

use rusqlite::Connection;

/// Somebody who writes and does not end.
pub(crate) struct Lock {
    connection: Connection,
}

impl Lock {
    /// Takes the right to write.
    pub(crate) fn hold(database: &Path) -> Self {
        let connection = Connection::open(database).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(120)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { connection }
    }

    /// Gives it back.
    pub(crate) fn release(self) {
        self.connection.execute_batch("ROLLBACK").unwrap();
    }
}
