//! How `bij` comes to the coordinator.

use std::path::Path;
use std::time::Duration;

use bij_api::{Client, ClientError, WhichBus};
use bij_core::Layout;

use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::scope::Scope;

/// A coordinator that was killed is back within this time, or it is not coming.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(10);
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Connects for a change: over its socket, else the bus. One that was killed is waited for.
pub(crate) async fn connect(context: &Context) -> Result<Client, CliError> {
    let none = || CliError::of(Kind::Unreachable, &ClientError::NoCoordinator);
    connect_if_any(context).await?.ok_or_else(|| none().hint(remedy(context)))
}

/// As [`connect`], for those who do without if there is none.
pub(crate) async fn connect_if_any(context: &Context) -> Result<Option<Client>, CliError> {
    let mut waited = Duration::ZERO;
    loop {
        match try_connect(context).await {
            Err(ClientError::NotListening) if waited < COMES_BACK_WITHIN => {
                if waited.is_zero() {
                    context.terminal.status("The coordinator was killed; waiting for its return.");
                }
                tokio::time::sleep(TRY_EVERY).await;
                waited += TRY_EVERY;
            }
            Err(ClientError::NoCoordinator) => return Ok(None),
            Err(error @ ClientError::NotListening) => {
                return Err(CliError::of(Kind::Unreachable, &error).hint(remedy(context)));
            }
            // Nothing has been asked for yet.
            Err(error @ ClientError::Unreachable(_)) => {
                return Err(CliError::of(Kind::Unreachable, &error).hint("try again"));
            }
            connected => return Ok(Some(connected?)),
        }
    }
}

/// Connects if there is one, without waiting for any.
pub(crate) async fn try_connect(context: &Context) -> Result<Client, ClientError> {
    match connect_to_socket(&context.layout).await {
        Err(ClientError::NoCoordinator) => over_bus(context.scope).await,
        connected => connected,
    }
}

/// By the owner's socket, which no one else can fill, else by the one for everyone.
pub(crate) async fn connect_to_socket(layout: &Layout) -> Result<Client, ClientError> {
    match Client::connect(&layout.owners_socket()).await {
        // It is not there, or another's.
        Err(ClientError::NoCoordinator | ClientError::Unreachable(_)) => {
            Client::connect(&layout.coordinator_socket()).await
        }
        connected => connected,
    }
}

async fn over_bus(scope: Scope) -> Result<Client, ClientError> {
    let bus = match scope {
        Scope::System => WhichBus::System,
        Scope::User => WhichBus::Session,
        Scope::Local => return Err(ClientError::NoCoordinator),
    };
    // Without a bus nobody is on it.
    let Ok(client) = Client::connect_bus(bus).await else { return Err(ClientError::NoCoordinator) };
    // Only an answer tells whether anybody has the name.
    client.status().await.map(|_| client)
}

/// Connects to the socket of a coordinator. One that was killed is waited for.
pub(crate) async fn connect_to(socket: &Path) -> Result<Client, ClientError> {
    let mut waited = Duration::ZERO;
    loop {
        match Client::connect(socket).await {
            Err(ClientError::NotListening) if waited < COMES_BACK_WITHIN => {
                tokio::time::sleep(TRY_EVERY).await;
                waited += TRY_EVERY;
            }
            connected => return connected,
        }
    }
}

/// How to get one.
pub(crate) fn remedy(context: &Context) -> String {
    match context.scope {
        Scope::System => "systemctl enable --now brain-experiment-coordinator".to_owned(),
        Scope::User => "systemctl --user enable --now brain-experiment-coordinator".to_owned(),
        Scope::Local => {
            format!("`{} run ID…` supervises in the foreground, without a queue", context.again)
        }
    }
}
