//! What becomes of the samples: attempts' accounts, rows, and the last hour.

use std::collections::{BTreeMap, BTreeSet};

use bij_coordinator::Now;
use bij_core::{AttemptBoard, AttemptKey, BoardMinute, TimeSpan};

use super::Glance;
use super::account::Account;
use super::minute::Minute;

/// What is to be kept for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// What the board went through while this attempt lived.
    Attempt(AttemptKey, AttemptBoard),
    /// How the board was.
    Minute(BoardMinute),
}

/// What becomes of the samples. It has no clock and no file.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Attempts that are open, each with its account if its beginning was seen.
    open: BTreeMap<AttemptKey, Option<Account>>,
    /// Whether it is known what was open before anybody watched.
    has_begun: bool,
    minute: Option<Minute>,
}

impl Book {
    /// Whether a sample is wanted at once: something has begun or ended.
    pub(super) fn is_news(&self, open: &BTreeSet<AttemptKey>) -> bool {
        !open.iter().eq(self.open.keys())
    }

    /// Whether something runs, as far as is known.
    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Those that run, as far as anything is known.
    pub(super) fn open(&self) -> Option<BTreeSet<AttemptKey>> {
        self.has_begun.then(|| self.open.keys().copied().collect())
    }

    /// Takes in that nothing runs, if that is the first that is known.
    pub(super) const fn begins_idle(&mut self) {
        self.has_begun = true;
    }

    /// Takes in a sample, and says what has come of it.
    pub(super) fn take(
        &mut self,
        now: Now,
        open: &BTreeSet<AttemptKey>,
        glance: &Glance,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        entries.extend(self.minute_over(now.uptime));
        let minute = self.minute.get_or_insert_with(|| Minute::begun(now.at, now.uptime));
        minute.add(now.uptime, glance);
        for account in self.open.values_mut().flatten() {
            account.add(now.uptime, glance);
        }
        let ended: Vec<AttemptKey> =
            self.open.keys().filter(|key| !open.contains(key)).copied().collect();
        for key in ended {
            let account = self.open.remove(&key).flatten();
            let board = account.and_then(Account::ended);
            entries.extend(board.map(|board| Entry::Attempt(key, board)));
        }
        for key in open {
            let begun = || self.has_begun.then(|| Account::begun(now.uptime, glance));
            self.open.entry(*key).or_insert_with(begun);
        }
        self.has_begun = true;
        entries
    }

    /// The minute, if it is over.
    pub(super) fn minute_over(&mut self, uptime: TimeSpan) -> Option<Entry> {
        let minute = self.minute.take_if(|minute| minute.is_over(uptime))?;
        Some(Entry::Minute(minute.row()))
    }

    /// When the minute is over, if there is one.
    pub(super) fn minute_ends(&self) -> Option<TimeSpan> {
        let minute = self.minute.as_ref()?;
        let end = minute.begun.as_micros().saturating_add(Minute::LENGTH.as_micros());
        Some(TimeSpan::from_micros(end))
    }

    /// Closes it: the minute that is not over yet. What becomes of the attempts nobody will know.
    pub(super) fn closed(self) -> Option<Entry> {
        self.minute.map(|minute| Entry::Minute(minute.row()))
    }
}
