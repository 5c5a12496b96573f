//! What is asked of the ledger. The answers are the ledger's own values.

use bij_core::port::{AttemptQuery, AttemptScan};
use bij_core::{AttemptKey, BoardMinute, ExperimentId, RunNumber};
use serde::{Deserialize, Serialize};

use crate::{PIECE, PIECE_OF_HISTORY, Refusal, RefusalKind};

/// Which attempts; the default is the oldest of all experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptsQuery {
    /// Of one experiment.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// Of one run.
    #[serde(default)]
    pub run: Option<RunNumber>,
    /// The oldest attempts that were opened after this one. One answer has up to 250 attempts.
    #[serde(default)]
    pub after: Option<AttemptKey>,
    /// Up to this number of attempts, the newest instead of the oldest.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Without this number of the newest; only with `newest`.
    #[serde(default)]
    pub skip_newest: u32,
}

/// What an [`AttemptsQuery`] asks of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptsPart {
    /// The next piece of a scan, up to [`PIECE_OF_HISTORY`] attempts.
    Oldest(AttemptScan),
    /// Up to [`PIECE_OF_HISTORY`] of the newest attempts.
    Newest(AttemptQuery),
}

impl AttemptsQuery {
    /// Asks for the next piece of a scan.
    pub fn next(scan: &AttemptScan) -> Self {
        let AttemptScan { experiment, run, after } = scan.clone();
        Self { experiment, run, after, ..Self::default() }
    }

    /// Returns what is asked for, within the bounds of one answer.
    ///
    /// # Errors
    /// [`Refusal`] if both ends of the history are asked for.
    pub fn part(self) -> Result<AttemptsPart, Refusal> {
        let Self { experiment, run, after, newest, skip_newest } = self;
        match newest {
            None if skip_newest == 0 => {
                Ok(AttemptsPart::Oldest(AttemptScan { experiment, run, after }))
            }
            Some(newest) if after.is_none() => Ok(AttemptsPart::Newest(AttemptQuery {
                experiment,
                run,
                newest: Some(newest.min(PIECE_OF_HISTORY) as usize),
                skip_newest: skip_newest as usize,
                open: false,
            })),
            None => Err(invalid("skip_newest is for the newest attempts: give newest, too")),
            Some(_) => Err(invalid("after is for the oldest attempts and newest for the newest")),
        }
    }
}

fn invalid(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, text)
}

/// Whose history is added up; the default is that of every experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TalliesQuery {
    /// Of this experiment alone.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// Of those behind this one; the coordinator gives no more than 250 at once.
    #[serde(default)]
    pub after: Option<ExperimentId>,
}

/// Which minutes of the board; the default is the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinutesQuery {
    /// At most so many, the newest; the coordinator gives no more than 1000 at once.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Those before the minute with this number.
    #[serde(default)]
    pub before: Option<i64>,
}

impl MinutesQuery {
    /// Returns how many minutes the answer may have.
    pub fn limit(&self) -> usize {
        self.newest.unwrap_or(PIECE).min(PIECE) as usize
    }
}

/// Minutes of the board.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Minutes {
    /// The number of the first of them, 0 if there is none. Each minute has a higher number than the one
    /// before.
    pub first: i64,
    /// Oldest first.
    pub minutes: Vec<BoardMinute>,
}
