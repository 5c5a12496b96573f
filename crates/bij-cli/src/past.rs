//! The ledger for looking: opened by those who may, asked of the coordinator by everyone else.

use std::collections::BTreeMap;

use bij_api::Client;
use bij_core::port::{AttemptQuery, Ledger as _};
use bij_core::{Attempt, BoardMinute, ExperimentId, Tally};
use bij_store::Reader;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};

/// Where attempts are looked up.
pub(crate) enum Past {
    /// The database and what is set aside beside it.
    Ledger(Reader),
    /// The coordinator, which can read them.
    Coordinator(Client),
}

impl Past {
    /// Chooses by whether the database may be opened.
    ///
    /// # Errors
    /// With what helps, if it may not and no coordinator answers.
    pub(crate) async fn of(context: &Context) -> Result<Self, CliError> {
        if may_open(context) {
            return Ok(Self::Ledger(context.ledger()));
        }
        match coordinator::try_connect(context).await {
            Ok(client) => Ok(Self::Coordinator(client)),
            Err(error) => {
                let why = CliError::from(error);
                let text = format!(
                    "the history is open to root alone, and the coordinator, which shows it to \
                     everyone, cannot be asked: {}",
                    why.in_one_line()
                );
                Err(without_coordinator(text))
            }
        }
    }

    /// Attempts, oldest first.
    pub(crate) async fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.attempts(query)?),
            Self::Coordinator(client) => Ok(client.attempts(query).await?),
        }
    }

    /// What one experiment's history adds up to.
    pub(crate) async fn tally(&self, id: &ExperimentId) -> Result<Tally, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.tally(id)?),
            Self::Coordinator(client) => Ok(client.tally(id).await?),
        }
    }

    /// What the history of every experiment that has one adds up to.
    pub(crate) async fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.tallies()?),
            Self::Coordinator(client) => Ok(client.tallies().await?),
        }
    }

    /// The newest minutes of the board, oldest first.
    pub(crate) async fn board_minutes(&self, newest: usize) -> Result<Vec<BoardMinute>, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.board_minutes(newest)?),
            Self::Coordinator(client) => Ok(client.board_minutes(newest).await?),
        }
    }
}

/// Whether the database may be opened, or there is none yet.
pub(crate) fn may_open(context: &Context) -> bool {
    let database = context.layout.database();
    matches!(access(&database, AccessFlags::R_OK), Ok(()) | Err(Errno::ENOENT))
}

/// What helps where the database may not be opened and no coordinator answers.
pub(crate) fn without_coordinator(text: String) -> CliError {
    CliError::new(Kind::Permission, text).hint(
        "have it started (`sudo systemctl start brain-experiment-coordinator`), or repeat this with \
         sudo",
    )
}
