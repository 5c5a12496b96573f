//! The table of attempts and crashes.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Evidence, ExperimentId, Outcome, RunId,
    RunNumber, StartKind, Tally, TimeSpan, Timestamp,
};

/// An attempt about to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Whose.
    pub experiment: ExperimentId,
    /// Its key.
    pub key: AttemptKey,
    /// When.
    pub at: Timestamp,
    /// The uptime of its boot then (`CLOCK_BOOTTIME`), where that is known.
    pub uptime: Option<TimeSpan>,
    /// Who asked for the start.
    pub start: StartKind,
}

/// An attempt that has ended, as its witness reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Whose.
    pub experiment: ExperimentId,
    /// Its key.
    pub key: AttemptKey,
    /// When it was up, where that is known.
    pub ready: Option<Timestamp>,
    /// How it ended.
    pub end: AttemptEnd,
    /// When it started: used only if nobody opened it.
    pub started: Timestamp,
}

impl Closing {
    /// The end of an attempt that is in the ledger; the evidence proves its cause.
    pub fn of(
        attempt: &Attempt,
        at: Timestamp,
        ready: Option<Timestamp>,
        evidence: Evidence,
    ) -> Self {
        Self {
            experiment: attempt.run.experiment.clone(),
            key: attempt.key,
            ready: ready.or(attempt.ready),
            end: AttemptEnd { at, cause: evidence.prove(), evidence },
            started: attempt.started,
        }
    }

    /// Who had asked for the start, as far as the evidence tells (`NRestarts`). Where it tells
    /// nothing the attempt is taken for a restart, so that nobody is said to have given up.
    pub const fn start_kind(&self) -> StartKind {
        match self.end.evidence.restarts {
            Some(0) => StartKind::Fresh,
            Some(_) | None => StartKind::Restart,
        }
    }

    /// The opening that nobody has told of it.
    pub fn as_opening(&self) -> Opening {
        Opening {
            experiment: self.experiment.clone(),
            key: self.key,
            at: self.started,
            uptime: None,
            start: self.start_kind(),
        }
    }
}

/// What an attempt is told of its place in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The run.
    pub run: RunId,
    /// The attempt's number.
    pub attempt: AttemptNumber,
    /// What came before it.
    pub before: Tally,
}

/// Which attempts to read; `Default` reads all of every experiment, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptQuery {
    /// Of one experiment only.
    pub experiment: Option<ExperimentId>,
    /// Of one run only.
    pub run: Option<RunNumber>,
    /// At most so many, the newest.
    pub newest: Option<usize>,
    /// Without this number of the newest, for readers that page backwards.
    pub skip_newest: usize,
    /// Only those still open.
    pub open: bool,
}

impl AttemptQuery {
    /// What it chooses from attempts that are in their order.
    pub fn choose(&self, mut attempts: Vec<Attempt>) -> Vec<Attempt> {
        let Self { experiment, run, newest, skip_newest, open } = self;
        attempts.retain(|attempt| {
            experiment.as_ref().is_none_or(|id| attempt.run.experiment == *id)
                && run.is_none_or(|number| attempt.run.number == number)
                && (!open || attempt.end.is_none())
        });
        attempts.truncate(attempts.len().saturating_sub(*skip_newest));
        let too_many = newest.map_or(0, |count| attempts.len().saturating_sub(count));
        attempts.drain(..too_many);
        attempts
    }
}

/// Which attempts to read from the oldest to the newest, a piece at a time; `Default` begins with the
/// oldest of every experiment.
///
/// The place is an attempt and not a count, so attempts that are opened between two pieces move nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptScan {
    /// Of one experiment only.
    pub experiment: Option<ExperimentId>,
    /// Of one run only.
    pub run: Option<RunNumber>,
    /// Only those opened after this attempt, the last one of the piece before.
    pub after: Option<AttemptKey>,
}

impl AttemptScan {
    /// Returns `true` if the attempt is of the experiment and the run, wherever its place is.
    pub fn includes(&self, attempt: &Attempt) -> bool {
        let Self { experiment, run, after: _ } = self;
        experiment.as_ref().is_none_or(|id| attempt.run.experiment == *id)
            && run.is_none_or(|number| attempt.run.number == number)
    }
}

/// Why the ledger could not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Somebody else holds it; trying again may help.
    #[error("the state database is busy")]
    Busy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no room to write.
    #[error("no room is left to write the state database")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It may not be written, or not be read.
    #[error("no permission for the state database")]
    Denied(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is damaged.
    #[error("the state database is damaged")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file that was open is gone, or another file has taken its place; nothing was recorded.
    /// [`RunQueue::load`](super::RunQueue::load) takes up the file that is there now.
    #[error("the state database was removed or replaced while it was open")]
    Replaced(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A newer bij has written it.
    #[error("the state database has schema {found}; this bij knows schemas up to {known}")]
    Newer {
        /// The database's schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// Another experiment has an attempt with this key.
    #[error("the attempt belongs to experiment {owner}")]
    Claimed {
        /// Whose attempt it is.
        owner: ExperimentId,
    },
    /// The attempt after which a scan was to go on has been removed.
    #[error(
        "the history has lost attempt {} of boot {}, after which it was to be read on", .key.invocation, .key.boot
    )]
    Lost {
        /// The attempt.
        key: AttemptKey,
    },
    /// Anything else.
    #[error("the state database failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LedgerError {
    /// Whether the same call may succeed later without anybody's help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full(_))
    }
}

/// Keeps attempts: written once when opened, once when ended, never changed after.
///
/// Every call may be repeated: the same key tells the same story once.
pub trait Ledger {
    /// Opens an attempt and tells its place in history.
    ///
    /// Attempts of the same experiment that another boot left open must be closed before, by
    /// [`Ledger::close`]; one left open in the same boot is none of this call's business.
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError>;

    /// Ends an attempt; one already ended is [`Outcome::Unchanged`], one never opened is added.
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError>;

    /// Reads attempts in the order in which they were opened.
    ///
    /// # Errors
    /// [`LedgerError`] if they could not be read.
    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError>;

    /// Adds up one experiment's history.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError>;

    /// Adds up the history of every experiment that has one.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError>;

    /// Records that a boot ended in good order.
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError>;

    /// Whether a boot is known to have ended in good order.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError>;
}
