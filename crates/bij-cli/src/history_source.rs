//! Where the history is read: from the database, or through the coordinator if the caller may not open it.

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

/// A source of attempts, tallies and board minutes.
pub(crate) enum HistorySource {
    /// The database and the spool beside it.
    Ledger(Reader),
    /// The coordinator, which reads the database for callers that may not open it.
    Coordinator(Client),
}

impl HistorySource {
    /// Chooses the database if the caller may open it, else the coordinator.
    ///
    /// # Errors
    /// If the caller may not open the database and no coordinator answers; with a remedy.
    pub(crate) async fn choose(context: &Context) -> Result<Self, CliError> {
        if can_open_database(context) {
            return Ok(Self::Ledger(context.ledger()));
        }
        match coordinator::try_connect(context).await {
            Ok(client) => Ok(Self::Coordinator(client)),
            Err(error) => {
                let why = CliError::from(error);
                let text = format!(
                    "only root may open the history, and the coordinator, which shows it to every \
                     user, does not answer: {}",
                    why.in_one_line()
                );
                Err(needs_coordinator(text))
            }
        }
    }

    /// Reads attempts in pieces, oldest first, of which one is in memory at a time.
    pub(crate) const fn scan(&self, scan: AttemptScan, at_most: usize) -> AttemptPieces<'_> {
        AttemptPieces { source: self, scan, left: at_most }
    }

    /// Returns the newest attempt after leaving out the `skip_newest` newest ones.
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

    /// Returns the totals of one experiment's history.
    pub(crate) async fn tally(&self, id: &ExperimentId) -> Result<Tally, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.tally(id)?),
            Self::Coordinator(client) => Ok(client.tally(id).await?),
        }
    }

    /// Returns the totals of every experiment that has a history.
    pub(crate) async fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.tallies()?),
            Self::Coordinator(client) => Ok(client.tallies().await?),
        }
    }

    /// Returns the newest recorded minutes of the board, oldest first.
    pub(crate) async fn board_minutes(&self, newest: usize) -> Result<Vec<BoardMinute>, CliError> {
        match self {
            Self::Ledger(reader) => Ok(reader.board_minutes(newest)?),
            Self::Coordinator(client) => Ok(client.board_minutes(newest).await?),
        }
    }
}

/// Attempts that are read in pieces, because a history need not fit into memory.
pub(crate) struct AttemptPieces<'a> {
    source: &'a HistorySource,
    scan: AttemptScan,
    /// How many attempts may still be read.
    left: usize,
}

impl AttemptPieces<'_> {
    /// Reads the next attempts; `None` if there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Attempt>>, CliError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = self.source.attempts_after(&self.scan).await?;
        piece.truncate(self.left);
        self.left -= piece.len();
        let Some(last) = piece.last() else { return Ok(None) };
        self.scan.after = Some(last.key);
        Ok(Some(piece))
    }
}

/// Returns whether the caller may open the database, or there is none yet.
pub(crate) fn can_open_database(context: &Context) -> bool {
    let database = context.layout.database();
    matches!(access(&database, AccessFlags::R_OK), Ok(()) | Err(Errno::ENOENT))
}

/// Creates the error for a caller that may not open the database while no coordinator answers.
pub(crate) fn needs_coordinator(text: String) -> CliError {
    CliError::new(Kind::Permission, text).hint(
        "start the coordinator (`sudo systemctl start brain-experiment-coordinator`), or repeat the \
         command with sudo",
    )
}
