//! Connections that come back.

use tokio::sync::Mutex;
use zbus::{Connection, connection};

use crate::RuntimeScope;
use crate::job_signals::match_ends;

/// One connection, opened when it is wanted and again when it was lost: a bus restarts now and then.
#[derive(Debug)]
pub(super) struct Line {
    scope: Option<RuntimeScope>,
    hears_of_jobs: bool,
    open: Mutex<Option<Connection>>,
}

impl Line {
    /// To the manager of this scope, for calls.
    pub(super) fn to(scope: RuntimeScope) -> Self {
        Self { scope: Some(scope), hears_of_jobs: false, open: Mutex::new(None) }
    }

    /// The same, to hear on it that jobs are over.
    pub(super) fn hearing_of_jobs(scope: RuntimeScope) -> Self {
        Self { hears_of_jobs: true, ..Self::to(scope) }
    }

    #[cfg(test)]
    pub(super) fn over(peer: Connection) -> Self {
        Self { scope: None, hears_of_jobs: false, open: Mutex::new(Some(peer)) }
    }

    pub(super) async fn connection(&self) -> zbus::Result<Connection> {
        let mut line = self.open.lock().await;
        if let Some(connection) = line.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = open(self.scope.ok_or(zbus::Error::Unsupported)?).await?;
        if self.hears_of_jobs {
            match_ends(&connection).await?;
        }
        Ok(line.insert(connection).clone())
    }
}

/// Where the system's bus listens. It is not taken from `$DBUS_SYSTEM_BUS_ADDRESS`: a caller that runs as
/// root must not be led to a bus of another user's.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Connects to the bus of a scope.
pub(crate) async fn open(scope: RuntimeScope) -> zbus::Result<Connection> {
    let builder = match scope {
        RuntimeScope::System => connection::Builder::address(SYSTEM_BUS),
        RuntimeScope::User => connection::Builder::session(),
    };
    builder.build().await
}
