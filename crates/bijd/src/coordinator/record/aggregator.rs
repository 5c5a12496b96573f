//! Aggregates readings of the board into minutes and totals of attempts.

use std::collections::{BTreeMap, BTreeSet};

use bij_coordinator::Now;
use bij_core::{AttemptBoard, AttemptKey, BoardMinute, Uptime};

use super::BoardReading;
use super::attempt_totals::AttemptTotals;
use super::minute::Minute;

/// A record for the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BoardRecord {
    /// The totals of one attempt.
    Attempt(AttemptKey, AttemptBoard),
    /// The averages of one minute.
    Minute(BoardMinute),
}

/// Aggregates readings into records. It uses no clock and no file.
#[derive(Debug, Default)]
pub(super) struct BoardAggregator {
    /// The open attempts, each with its totals if its beginning was observed.
    open: BTreeMap<AttemptKey, Option<AttemptTotals>>,
    /// Whether the attempts that were open at the start are known.
    is_initialized: bool,
    minute: Option<Minute>,
}

impl BoardAggregator {
    /// Returns whether an attempt has begun or ended, so that a reading is due at once.
    pub(super) fn has_changed(&self, open: &BTreeSet<AttemptKey>) -> bool {
        !open.iter().eq(self.open.keys())
    }

    /// Returns whether an attempt is known to be open.
    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns the attempts that are known to be open; `None` at the start.
    pub(super) fn open(&self) -> Option<BTreeSet<AttemptKey>> {
        self.is_initialized.then(|| self.open.keys().copied().collect())
    }

    /// Records that no attempt was open at the start.
    pub(super) const fn set_idle(&mut self) {
        self.is_initialized = true;
    }

    /// Adds a reading; returns the records that it completes.
    pub(super) fn add(
        &mut self,
        now: Now,
        open: &BTreeSet<AttemptKey>,
        reading: &BoardReading,
    ) -> Vec<BoardRecord> {
        let mut records = Vec::new();
        records.extend(self.minute_over(now.uptime));
        let minute = self.minute.get_or_insert_with(|| Minute::new(now.at, now.uptime));
        minute.add(now.uptime, reading);
        for totals in self.open.values_mut().flatten() {
            totals.add(now.uptime, reading);
        }
        let ended: Vec<AttemptKey> =
            self.open.keys().filter(|key| !open.contains(key)).copied().collect();
        for key in ended {
            let totals = self.open.remove(&key).flatten();
            let board = totals.and_then(AttemptTotals::finish);
            records.extend(board.map(|board| BoardRecord::Attempt(key, board)));
        }
        for key in open {
            let begun = || self.is_initialized.then(|| AttemptTotals::new(now.uptime, reading));
            self.open.entry(*key).or_insert_with(begun);
        }
        self.is_initialized = true;
        records
    }

    /// Returns the record of the minute, if it is over.
    pub(super) fn minute_over(&mut self, uptime: Uptime) -> Option<BoardRecord> {
        let minute = self.minute.take_if(|minute| minute.is_over(uptime))?;
        Some(BoardRecord::Minute(minute.row()))
    }

    /// Returns the uptime at which the minute is over, if there is one.
    pub(super) fn minute_ends(&self) -> Option<Uptime> {
        self.minute.as_ref().map(Minute::end)
    }

    /// Returns the record of the unfinished minute. The totals of open attempts are lost.
    pub(super) fn finish(self) -> Option<BoardRecord> {
        self.minute.map(|minute| BoardRecord::Minute(minute.row()))
    }
}
