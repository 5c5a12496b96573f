//! Where the queue is read: from the coordinator, or from the store where none runs.

mod open_runs;
mod stored;
mod watch;

use bij_api::{Client, ClientError};
use bij_core::queue::{Event, RunRef};
use bij_core::request::{CoordinatorStatus, EventQuery, QueueEntry, QueueQuery, Why};
use bij_store::Reader;

use crate::context::Context;
use crate::error::CliError;
use crate::{coordinator, history_source};
pub(crate) use open_runs::{FinishedRun, OpenRuns};
pub(crate) use watch::QueueWatch;

/// A source of runs and events; both sources number them alike.
pub(crate) enum QueueSource {
    /// The coordinator, which also knows the gates.
    Coordinator(Client),
    /// The database, which has no gates.
    Store(Reader),
}

impl QueueSource {
    /// Chooses the coordinator if it answers, else the store, with a warning.
    ///
    /// # Errors
    /// If the coordinator refuses, or does not answer while the caller may not open the database.
    pub(crate) async fn choose(context: &Context) -> Result<Self, CliError> {
        match coordinator::try_connect(context).await {
            Ok(client) => Ok(Self::Coordinator(client)),
            Err(error @ ClientError::Refused(_)) => Err(error.into()),
            Err(error) if !history_source::can_open_database(context) => {
                let why = CliError::from(error).in_one_line();
                Err(history_source::needs_coordinator(format!("the queue cannot be read: {why}")))
            }
            Err(error) => {
                let error = CliError::from(error);
                let text = format!(
                    "{}: waiting runs are not started, and their gates are not known; showing the \
                     queue on disk",
                    error.sentence()
                );
                context.terminal.warning(&text);
                context.terminal.hint(&coordinator::remedy(context));
                Ok(Self::from_store(context))
            }
        }
    }

    /// Returns the store of the context's layout.
    pub(crate) fn from_store(context: &Context) -> Self {
        Self::Store(context.ledger())
    }

    /// Returns the runs that are not over, in starting order.
    pub(crate) async fn queue(&self, query: &QueueQuery) -> Result<Vec<QueueEntry>, CliError> {
        match self {
            Self::Coordinator(client) => Ok(client.queue(query).await?),
            Self::Store(reader) => stored::queue(reader, query),
        }
    }

    /// Returns one run, its closed gates, and the runs that go first.
    pub(crate) async fn why(&self, run: &RunRef) -> Result<Why, CliError> {
        match self {
            Self::Coordinator(client) => Ok(client.why(run).await?),
            Self::Store(reader) => stored::why(reader, run),
        }
    }

    /// Returns the status of the coordinator; `None` if this is the store.
    pub(crate) async fn status(&self) -> Result<Option<CoordinatorStatus>, CliError> {
        match self {
            Self::Coordinator(client) => Ok(Some(client.status().await?)),
            Self::Store(_) => Ok(None),
        }
    }

    /// Returns events after a number, oldest first, as many as one answer has; none if there are none yet.
    pub(crate) async fn events(&self, since: u64) -> Result<Vec<Event>, CliError> {
        match self {
            Self::Coordinator(client) => {
                Ok(client.events(&EventQuery { since, at_most: None }).await?)
            }
            Self::Store(reader) => stored::events(reader, since),
        }
    }
}
