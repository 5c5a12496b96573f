//! The last hour, at full rate.

use std::collections::VecDeque;

use bij_coordinator::Now;
use bij_core::TimeSpan;

use super::Glance;

/// One sample and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub now: Now,
    /// What was seen.
    pub glance: Glance,
}

/// The samples of the last hour in which there were any; it never holds more than a sample a second.
#[derive(Debug, Default)]
pub struct Hour {
    moments: VecDeque<Moment>,
}

impl Hour {
    /// So far back it goes.
    const LENGTH: TimeSpan = TimeSpan::from_secs(3600);
    /// And so many it holds: one a second, and some more for what begins and ends in between.
    const MOST: usize = 4096;

    /// Takes in a sample; one that is not later than the newest says nothing new.
    pub fn push(&mut self, moment: Moment) {
        if self.newest().is_some_and(|newest| moment.now.uptime <= newest.now.uptime) {
            return;
        }
        let now = moment.now.uptime.as_micros();
        let is_old = |moment: &Moment| {
            now.saturating_sub(moment.now.uptime.as_micros()) > Self::LENGTH.as_micros()
        };
        while self.moments.len() >= Self::MOST || self.moments.front().is_some_and(is_old) {
            self.moments.pop_front();
        }
        self.moments.push_back(moment);
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<&Moment> {
        self.moments.back()
    }

    /// Those after this uptime, oldest first.
    pub fn after(&self, uptime: TimeSpan) -> impl Iterator<Item = &Moment> {
        let first = self.moments.partition_point(|moment| moment.now.uptime <= uptime);
        self.moments.range(first..)
    }
}
