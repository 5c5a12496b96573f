//! The ledger for looking: opened by those who may, asked of the coordinator by everyone else.

use std::collections::BTreeMap;

use bij_api::Client;
use bij_core::port::{AttemptQuery, AttemptScan, Ledger as _};
use bij_core::{Attempt, BoardMinute, ExperimentId, RunNumber, Tally};
use bij_store::Reader;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};

/// How many attempts are read from the database at once: they take about a megabyte.
const PIECE: usize = 1000;

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

    /// Reads attempts from the oldest to the newest, of which no more than a piece is in memory.
    pub(crate) const fn scan(&self, scan: AttemptScan, at_most: usize) -> AttemptPieces<'_> {
        AttemptPieces { past: self, scan, left: at_most }
    }

    /// The newest attempt, or the newest but so many.
    pub(crate) async fn newest_attempt(
        &self,
        experiment: Option<&ExperimentId>,
        run: Option<RunNumber>,
        skip_newest: usize,
    ) -> Result<Option<Attempt>, CliError> {
        match self {
            Self::Ledger(reader) => {
                let experiment = experiment.cloned();
                let query =
                    AttemptQuery { experiment, run, newest: Some(1), skip_newest, open: false };
                Ok(reader.attempts(&query)?.pop())
            }
            Self::Coordinator(client) => {
                Ok(client.newest_attempt(experiment, run, skip_newest).await?)
            }
        }
    }

    async fn attempts_after(&self, scan: &AttemptScan) -> Result<Vec<Attempt>, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.attempts_after(scan, PIECE)?),
            Self::Coordinator(client) => Ok(client.attempts_after(scan).await?),
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

/// A history that need not fit into memory.
pub(crate) struct AttemptPieces<'a> {
    past: &'a Past,
    scan: AttemptScan,
    /// So many attempts are still to come at most.
    left: usize,
}

impl AttemptPieces<'_> {
    /// Reads the next attempts; `None` if there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Attempt>>, CliError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = self.past.attempts_after(&self.scan).await?;
        piece.truncate(self.left);
        self.left -= piece.len();
        let Some(last) = piece.last() else { return Ok(None) };
        self.scan.after = Some(last.key);
        Ok(Some(piece))
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
