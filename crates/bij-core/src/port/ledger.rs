//! The port to the ledger, the record of attempts and crashes.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Evidence, ExperimentId, Outcome, RunId,
    RunNumber, StartKind, Tally, Timestamp, Uptime,
};

/// An attempt about to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The boot and invocation of the attempt.
    pub key: AttemptKey,
    /// When the attempt was started.
    pub at: Timestamp,
    /// The uptime of its boot at that time, if known (`CLOCK_BOOTTIME`).
    pub uptime: Option<Uptime>,
    /// Whether the supervisor restarted the run, or the start was requested.
    pub start: StartKind,
}

impl Opening {
    /// Creates the opening of an attempt without an uptime.
    pub const fn new(
        experiment: ExperimentId,
        key: AttemptKey,
        at: Timestamp,
        start: StartKind,
    ) -> Self {
        Self { experiment, key, at, uptime: None, start }
    }

    /// Creates the end of the attempt, with the cause that the evidence proves. An attempt that became ready did so
    /// when it was opened.
    pub fn to_closing(&self, at: Timestamp, evidence: Evidence) -> Closing {
        Closing {
            experiment: self.experiment.clone(),
            key: self.key,
            ready: evidence.became_ready.then_some(self.at),
            end: AttemptEnd { at, cause: evidence.prove(), evidence },
            started: self.at,
        }
    }
}

/// The end of an attempt, as its witness reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The boot and invocation of the attempt.
    pub key: AttemptKey,
    /// When it became ready, if known.
    pub ready: Option<Timestamp>,
    /// How it ended.
    pub end: AttemptEnd,
    /// When it started; used only if the attempt was never opened.
    pub started: Timestamp,
}

impl Closing {
    /// Creates the end of an attempt that is in the ledger, with the cause that the evidence proves.
    pub fn from_evidence(
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

    /// Returns the kind of the attempt's start according to `NRestarts`. Without that evidence the start counts
    /// as a restart, so that no run is taken to have used up its restarts.
    pub const fn start_kind(&self) -> StartKind {
        match self.end.evidence.restarts {
            Some(0) => StartKind::Fresh,
            Some(_) | None => StartKind::Restart,
        }
    }

    /// Returns the opening of an attempt that was never opened.
    pub fn to_opening(&self) -> Opening {
        Opening {
            experiment: self.experiment.clone(),
            key: self.key,
            at: self.started,
            uptime: None,
            start: self.start_kind(),
        }
    }
}

/// The run and number of an opened attempt, and the history before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The run that the attempt belongs to.
    pub run: RunId,
    /// The number of the attempt within its run.
    pub attempt: AttemptNumber,
    /// The totals of all attempts before it.
    pub before: Tally,
}

/// A selection of attempts. `Default` selects all attempts of every experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptQuery {
    /// Selects the attempts of one experiment only.
    pub experiment: Option<ExperimentId>,
    /// Selects the attempts of one run number only.
    pub run: Option<RunNumber>,
    /// Selects at most this number of the newest attempts.
    pub newest: Option<usize>,
    /// Skips this number of the newest attempts, to page backwards.
    pub skip_newest: usize,
    /// Selects open attempts only.
    pub open: bool,
}

impl AttemptQuery {
    /// Selects all attempts of an experiment.
    pub fn for_experiment(experiment: ExperimentId) -> Self {
        Self { experiment: Some(experiment), ..Self::default() }
    }

    /// Returns the selected attempts of a list in the order of their opening.
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
/// A scan goes on behind an attempt, and not at a count, so attempts that are opened between two pieces move nothing.
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
    /// Returns `true` if the attempt is of the experiment and the run.
    pub fn includes(&self, attempt: &Attempt) -> bool {
        let Self { experiment, run, after: _ } = self;
        experiment.as_ref().is_none_or(|id| attempt.run.experiment == *id)
            && run.is_none_or(|number| attempt.run.number == number)
    }

    /// Returns the next `at_most` attempts of a list in the order of their opening; `None` if the attempt after which
    /// they begin is not in the list.
    pub fn choose(&self, attempts: &[Attempt], at_most: usize) -> Option<Vec<Attempt>> {
        let position = |key| attempts.iter().position(|attempt| attempt.key == key);
        let start = match self.after {
            Some(key) => position(key)? + 1,
            None => 0,
        };
        let later = attempts[start..].iter().filter(|attempt| self.includes(attempt));
        Some(later.take(at_most).cloned().collect())
    }
}

/// Why the ledger could not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another process holds a lock on the database; a later call may succeed.
    #[error("the state database is busy")]
    Busy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No space is left to write the database.
    #[error("no room is left to write the state database")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The caller may not read or not write the database.
    #[error("no permission for the state database")]
    Denied(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database is damaged.
    #[error("the state database is damaged")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The open database file was removed or replaced; nothing was recorded.
    /// [`RunQueue::load`](super::RunQueue::load) opens the file that is there now.
    #[error("the state database was removed or replaced while it was open")]
    Replaced(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The program is linked to an SQLite that is too old for the database.
    #[error("this program uses SQLite {found}; the state database needs {needed} or newer")]
    OldLibrary {
        /// The version that the program is linked to.
        found: String,
        /// The oldest version that can be used.
        needed: String,
    },
    /// A newer bij has written the database.
    #[error("the state database has schema {found}; this bij knows schemas up to {known}")]
    Newer {
        /// The schema of the database.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// Another experiment has an attempt with this key.
    #[error("the attempt belongs to experiment {owner}")]
    Claimed {
        /// The experiment of that attempt.
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
    /// Returns whether the same call may succeed later without intervention.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full(_))
    }
}

/// Records attempts: each is written once when opened and once when closed, and never changed after.
///
/// Every call may be repeated; the same key counts once.
pub trait Ledger {
    /// Opens an attempt and returns its run, number and history.
    ///
    /// Unclosed attempts of the same experiment from other boots must be closed first, by [`Ledger::close`];
    /// this call leaves an unclosed attempt of the same boot as it is.
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError>;

    /// Closes an attempt. An attempt that is closed already is [`Outcome::Unchanged`]; an attempt that was
    /// never opened is added.
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError>;

    /// Reads attempts in the order in which they were opened.
    ///
    /// # Errors
    /// [`LedgerError`] if they could not be read.
    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError>;

    /// Returns the totals of one experiment.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError>;

    /// Returns the totals of every experiment with attempts.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError>;

    /// Records that a boot ended with a clean shutdown.
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError>;

    /// Returns whether a boot is recorded to have ended with a clean shutdown.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError>;
}
