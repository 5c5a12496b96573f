//! D-Bus connections that are re-established.

use tokio::sync::Mutex;
use zbus::{Connection, connection};

use crate::RuntimeScope;
use crate::job_signals::add_job_match;

/// A connection that is opened on first use and again after it was lost, for example by a restart of the bus.
#[derive(Debug)]
pub(super) struct ReconnectingConnection {
    scope: Option<RuntimeScope>,
    receives_job_signals: bool,
    open: Mutex<Option<Connection>>,
}

impl ReconnectingConnection {
    /// Creates a connection for calls.
    pub(super) fn new(scope: RuntimeScope) -> Self {
        Self { scope: Some(scope), receives_job_signals: false, open: Mutex::new(None) }
    }

    /// Creates a connection that also receives the ends of jobs.
    pub(super) fn for_job_signals(scope: RuntimeScope) -> Self {
        Self { receives_job_signals: true, ..Self::new(scope) }
    }

    #[cfg(test)]
    pub(super) fn from_peer(peer: Connection) -> Self {
        Self { scope: None, receives_job_signals: false, open: Mutex::new(Some(peer)) }
    }

    pub(super) async fn connection(&self) -> zbus::Result<Connection> {
        let mut open = self.open.lock().await;
        if let Some(connection) = open.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = connect(self.scope.ok_or(zbus::Error::Unsupported)?).await?;
        if self.receives_job_signals {
            add_job_match(&connection).await?;
        }
        Ok(open.insert(connection).clone())
    }
}

/// Address of the system bus. `$DBUS_SYSTEM_BUS_ADDRESS` is ignored, because a process that runs as root must
/// not be led to another user's bus.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Connects to the bus of a scope.
pub(crate) async fn connect(scope: RuntimeScope) -> zbus::Result<Connection> {
    let builder = match scope {
        RuntimeScope::System => connection::Builder::address(SYSTEM_BUS),
        RuntimeScope::User => connection::Builder::session(),
    };
    builder.build().await
}
