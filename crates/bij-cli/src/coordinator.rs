//! Connects to the coordinator.

use std::path::Path;
use std::time::Duration;

use bij_api::{Client, ClientError, WhichBus};
use bij_core::Layout;

use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::scope::Scope;

/// How long a verb waits for a coordinator that was killed; systemd restarts it within seconds.
const RESTART_TIMEOUT: Duration = Duration::from_secs(10);

const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Connects by the socket, else by the bus. Waits for a coordinator that was killed.
pub(crate) async fn connect(context: &Context) -> Result<Client, CliError> {
    let none = || CliError::from_error(Kind::Unreachable, &ClientError::NoCoordinator);
    connect_if_any(context).await?.ok_or_else(|| none().hint(remedy(context)))
}

/// Connects as [`connect`] does; returns `None` if no coordinator runs.
pub(crate) async fn connect_if_any(context: &Context) -> Result<Option<Client>, CliError> {
    let mut waited = Duration::ZERO;
    loop {
        match try_connect(context).await {
            Err(ClientError::NotListening) if waited < RESTART_TIMEOUT => {
                if waited.is_zero() {
                    context.terminal.status("The coordinator was killed; waiting for its restart.");
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
                waited += RETRY_INTERVAL;
            }
            Err(ClientError::NoCoordinator) => return Ok(None),
            Err(error @ ClientError::NotListening) => {
                return Err(CliError::from_error(Kind::Unreachable, &error).hint(remedy(context)));
            }
            // No request was sent yet, so there is no change whose outcome is unknown.
            Err(error @ ClientError::Unreachable(_)) => {
                return Err(CliError::from_error(Kind::Unreachable, &error).hint("try again"));
            }
            connected => return Ok(Some(connected?)),
        }
    }
}

/// Connects by the socket, else by the bus, without waiting.
pub(crate) async fn try_connect(context: &Context) -> Result<Client, ClientError> {
    match connect_to_socket(&context.layout).await {
        Err(ClientError::NoCoordinator) => connect_to_bus(context.scope).await,
        connected => connected,
    }
}

/// Connects by the owner's socket, which other users cannot flood, else by the socket for all users.
pub(crate) async fn connect_to_socket(layout: &Layout) -> Result<Client, ClientError> {
    match Client::connect(&layout.owners_socket()).await {
        // The socket does not exist, or belongs to another user.
        Err(ClientError::NoCoordinator | ClientError::Unreachable(_)) => {
            Client::connect(&layout.coordinator_socket()).await
        }
        connected => connected,
    }
}

async fn connect_to_bus(scope: Scope) -> Result<Client, ClientError> {
    let bus = match scope {
        Scope::System => WhichBus::System,
        Scope::User => WhichBus::Session,
        Scope::Local => return Err(ClientError::NoCoordinator),
    };
    let Ok(client) = Client::connect_bus(bus).await else { return Err(ClientError::NoCoordinator) };
    // A connection to the bus does not show whether the coordinator's name has an owner; an answer does.
    client.status().await.map(|_| client)
}

/// Connects by the given socket. Waits for a coordinator that was killed.
pub(crate) async fn connect_to(socket: &Path) -> Result<Client, ClientError> {
    let mut waited = Duration::ZERO;
    loop {
        match Client::connect(socket).await {
            Err(ClientError::NotListening) if waited < RESTART_TIMEOUT => {
                tokio::time::sleep(RETRY_INTERVAL).await;
                waited += RETRY_INTERVAL;
            }
            connected => return connected,
        }
    }
}

/// Returns how to start a coordinator in the scope, or what to use instead.
pub(crate) fn remedy(context: &Context) -> String {
    match context.scope {
        Scope::System => "systemctl enable --now brain-experiment-coordinator".to_owned(),
        Scope::User => "systemctl --user enable --now brain-experiment-coordinator".to_owned(),
        Scope::Local => {
            format!(
                "`{} run ID…` supervises in the foreground, without a queue",
                context.bij_command
            )
        }
    }
}
