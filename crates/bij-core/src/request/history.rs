//! Queries of the ledger. The answers are the ledger's own values.

use thiserror::Error;

use super::PAGE_LEN;
use crate::port::{AttemptQuery, AttemptScan};
use crate::{AttemptKey, BoardMinute, ExperimentId, RunNumber};

/// Largest number of attempts or tallies in one answer; each has up to some kilobytes of evidence.
pub const HISTORY_PAGE_LEN: u32 = 250;

/// A query of attempts; the default returns the oldest of all experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct AttemptsQuery {
    /// Only attempts of this experiment.
    #[cfg_attr(feature = "serde", serde(default))]
    pub experiment: Option<ExperimentId>,
    /// Only attempts of this run.
    #[cfg_attr(feature = "serde", serde(default))]
    pub run: Option<RunNumber>,
    /// Only attempts that were opened after this one. An answer has up to 250 attempts.
    #[cfg_attr(feature = "serde", serde(default))]
    pub after: Option<AttemptKey>,
    /// Returns up to this number of the newest attempts, instead of the oldest.
    #[cfg_attr(feature = "serde", serde(default))]
    pub newest: Option<u32>,
    /// Leaves out this number of the newest attempts; only with `newest`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub skip_newest: u32,
}

/// Why a query of attempts is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidAttemptsQuery {
    /// Newest attempts are left out of a query of the oldest.
    #[error("skip_newest is for the newest attempts: give newest, too")]
    SkipsNewest,
    /// The query is for both the oldest and the newest attempts.
    #[error("after is for the oldest attempts and newest for the newest")]
    OldestAndNewest,
}

/// An [`AttemptsQuery`] as a query of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptsPart {
    /// The next page of a scan, up to [`HISTORY_PAGE_LEN`] attempts.
    Oldest(AttemptScan),
    /// Up to [`HISTORY_PAGE_LEN`] of the newest attempts.
    Newest(AttemptQuery),
}

impl AttemptsQuery {
    /// Returns the query of the next page of a scan.
    pub fn next(scan: &AttemptScan) -> Self {
        let AttemptScan { experiment, run, after } = scan.clone();
        Self { experiment, run, after, ..Self::default() }
    }

    /// Returns the query of the ledger, within the limits of one answer.
    ///
    /// # Errors
    /// [`InvalidAttemptsQuery`] if the query is for both the oldest and the newest attempts.
    pub fn part(self) -> Result<AttemptsPart, InvalidAttemptsQuery> {
        let Self { experiment, run, after, newest, skip_newest } = self;
        match newest {
            None if skip_newest == 0 => {
                Ok(AttemptsPart::Oldest(AttemptScan { experiment, run, after }))
            }
            Some(newest) if after.is_none() => Ok(AttemptsPart::Newest(AttemptQuery {
                experiment,
                run,
                newest: Some(newest.min(HISTORY_PAGE_LEN) as usize),
                skip_newest: skip_newest as usize,
                open: false,
            })),
            None => Err(InvalidAttemptsQuery::SkipsNewest),
            Some(_) => Err(InvalidAttemptsQuery::OldestAndNewest),
        }
    }
}

/// A query of tallies; the default returns those of all experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct TalliesQuery {
    /// Only the tally of this experiment.
    #[cfg_attr(feature = "serde", serde(default))]
    pub experiment: Option<ExperimentId>,
    /// Only tallies of experiments after this one in alphabetical order. An answer has up to 250 tallies.
    #[cfg_attr(feature = "serde", serde(default))]
    pub after: Option<ExperimentId>,
}

/// A query of minutes of the board; the default returns the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct MinutesQuery {
    /// Returns up to this number of the newest minutes. An answer has up to 1000 minutes.
    #[cfg_attr(feature = "serde", serde(default))]
    pub newest: Option<u32>,
    /// Only minutes before the one with this number.
    #[cfg_attr(feature = "serde", serde(default))]
    pub before: Option<i64>,
}

impl MinutesQuery {
    /// Returns the largest number of minutes in the answer.
    pub fn limit(&self) -> usize {
        self.newest.unwrap_or(PAGE_LEN).min(PAGE_LEN) as usize
    }
}

/// An answer with minutes of the board.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Minutes {
    /// The number of the first minute, 0 without minutes. Numbers increase.
    pub first: i64,
    /// The minutes, oldest first.
    pub minutes: Vec<BoardMinute>,
}
