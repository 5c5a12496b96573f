//! Where the queue is looked up: at the coordinator, or in the store where there is none.

mod live;
mod open_runs;
mod stored;

use bij_api::message::{CoordinatorStatus, Entry, Event, EventQuery, QueueQuery, Why};
use bij_api::{Client, ClientError};
use bij_core::queue::RunRef;
use bij_store::Reader;

pub(crate) use live::Live;
pub(crate) use open_runs::{Ended, OpenRuns};

use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::past;

/// One of the two; both number runs and events alike.
pub(crate) enum Source {
    /// Who knows everything, gates included.
    Coordinator(Client),
    /// What is on the disk.
    Store(Reader),
}

impl Source {
    /// The coordinator, or the store and a warning: whoever looks is told what there is.
    pub(crate) async fn of(context: &Context) -> Result<Self, CliError> {
        match coordinator::try_connect(context).await {
            Ok(client) => Ok(Self::Coordinator(client)),
            Err(error @ ClientError::Refused(_)) => Err(error.into()),
            Err(error) if !past::may_open(context) => {
                let why = CliError::from(error).in_one_line();
                Err(past::without_coordinator(format!("the queue cannot be looked at: {why}")))
            }
            Err(error) => {
                let error = CliError::from(error);
                let text = format!(
                    "{}: what waits is not started, and its gates are not known; showing what is \
                     on disk",
                    error.sentence()
                );
                context.terminal.warning(&text);
                context.terminal.hint(&coordinator::remedy(context));
                Ok(Self::of_store(context))
            }
        }
    }

    /// The store.
    pub(crate) fn of_store(context: &Context) -> Self {
        Self::Store(context.ledger())
    }

    /// The runs that are not over, in starting order.
    pub(crate) async fn queue(&self, query: &QueueQuery) -> Result<Vec<Entry>, CliError> {
        match self {
            Self::Coordinator(client) => Ok(client.queue(query).await?),
            Self::Store(reader) => stored::queue(reader, query),
        }
    }

    /// One run, what it waits for, and who goes first.
    pub(crate) async fn why(&self, run: &RunRef) -> Result<Why, CliError> {
        match self {
            Self::Coordinator(client) => Ok(client.why(run).await?),
            Self::Store(reader) => stored::why(reader, run),
        }
    }

    /// How the coordinator is, if one answers.
    pub(crate) async fn status(&self) -> Result<Option<CoordinatorStatus>, CliError> {
        match self {
            Self::Coordinator(client) => Ok(Some(client.status().await?)),
            Self::Store(_) => Ok(None),
        }
    }

    /// Events after a number, oldest first; as many as come at once, none if there are none yet.
    pub(crate) async fn events(&self, since: u64) -> Result<Vec<Event>, CliError> {
        match self {
            Self::Coordinator(client) => {
                Ok(client.events(&EventQuery { since, at_most: None }).await?)
            }
            Self::Store(reader) => stored::events(reader, since),
        }
    }
}
