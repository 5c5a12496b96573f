//! What there is to see.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use bij_core::port::RunQueue;
use bij_core::queue::{Event, QueueState, QueuedRun, RunRef};
use bij_core::{Bytes, RunId};

use super::Coordinator;
use crate::policy::{Decision, decide};
use crate::{HealthReport, Listed, Now, Ports, RequestError, Status, Why};

impl<P: Ports> Coordinator<P> {
    /// All runs that are not over: those that are up, then those that wait, in starting order, each
    /// with every gate that keeps it.
    pub fn queue(&mut self, now: Now) -> Vec<Listed> {
        self.part_of_queue(|_| true, 0..usize::MAX, now).1
    }

    /// A part of [`queue`](Self::queue): of those that are wanted, the ones at these positions. Also
    /// tells how many are wanted in all.
    ///
    /// Nothing but the part is sorted or copied, so that many parts cost no more than the whole.
    pub fn part_of_queue(
        &mut self,
        wanted: impl Fn(&QueuedRun) -> bool,
        part: Range<usize>,
        now: Now,
    ) -> (usize, Vec<Listed>) {
        self.refresh(now);
        let mut runs: Vec<&QueuedRun> =
            self.state.runs.values().filter(|run| wanted(run)).collect();
        let total = runs.len();
        let up_first = |a: &&QueuedRun, b: &&QueuedRun| {
            (!a.state.is_up(), a.order()).cmp(&(!b.state.is_up(), b.order()))
        };
        let part = sorted_part(&mut runs, part, up_first);
        (total, part.iter().map(|run| self.listed(run)).collect())
    }

    /// Why a run does not start, and who goes before it.
    ///
    /// # Errors
    /// [`RequestError`] if there never was such a run, or the store cannot tell.
    pub fn why(&mut self, run: &RunRef, now: Now) -> Result<Why, RequestError> {
        self.refresh(now);
        let queued = match self.queued(run) {
            Ok(queued) => queued,
            Err(RequestError::Over { run, end }) => return Ok(Why::Over { run, end }),
            Err(error) => return Err(error),
        };
        let waits = |run: &&&QueuedRun| run.state == QueueState::Waiting;
        let order = self.state.in_order();
        let before = order.iter().take_while(|other| other.run != queued.run).filter(waits);
        let ahead: Vec<RunId> = if self.state.is_up(queued) {
            Vec::new()
        } else {
            before.map(|run| run.run.clone()).collect()
        };
        Ok(Why::Queued { listed: Box::new(self.listed(queued)), ahead })
    }

    /// How those that are up do, as far as has been looked.
    pub fn health(&self) -> Vec<HealthReport> {
        let report = self.state.health.iter().map(|(run, memory)| HealthReport {
            run: run.clone(),
            health: memory.health.clone(),
            since: memory.since,
        });
        report.collect()
    }

    /// How the coordinator is.
    pub fn status(&self) -> Status {
        let count = |of: &dyn Fn(&QueuedRun) -> bool| {
            let runs = self.state.runs.values().filter(|run| of(run));
            u32::try_from(runs.count()).unwrap_or(u32::MAX)
        };
        let claims = self.state.up().filter_map(|run| run.terms.claim.memory);
        let strays = self.seen.strays.iter().filter_map(|stray| stray.claim.memory);
        let claimed = claims.chain(strays).map(Bytes::get).fold(0u64, u64::saturating_add);
        let total = self.seen.sample.memory_total.as_ref().ok();
        let unread = self.state.last.iter().flat_map(|report| report.troubles.iter().cloned());
        let held = self.seen.warmth.held.as_ref();
        let heat = held.map(|because| format!("nothing is started for heat: {because}"));
        Status {
            since: self.since,
            seq: self.seq,
            waiting: count(&|run| run.state == QueueState::Waiting),
            held: count(&|run| matches!(run.state, QueueState::Held { .. })),
            running: count(&|run| self.state.is_up(run)),
            slots: self.state.settings.slots(),
            memory_budget: total.and_then(|total| self.state.settings.budget(*total).at()),
            memory_claimed: Bytes::new(claimed),
            gpu_memory: self.gpu_memory_of_those_up(),
            paused: self.state.paused.clone(),
            troubles: self.troubles.texts().chain(unread).chain(heat).collect(),
        }
    }

    /// The number of the newest event that has been taken in.
    pub fn newest_event(&self) -> u64 {
        self.seq
    }

    /// The number of the newest event at the time when the whole queue was read: later ones were told
    /// since. It is lower than that of events before only where another database has taken the place
    /// of the one that had them.
    pub fn loaded_event(&self) -> u64 {
        self.loaded_at
    }

    /// The events after one, oldest first, at most so many.
    ///
    /// # Errors
    /// [`RequestError::Store`] if they could not be read.
    pub fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, RequestError> {
        let events = self.adapters.store.events(after, at_most);
        events.map_err(|error| RequestError::Store(Arc::new(error)))
    }

    /// Sees to it that the last report is about what is now. What a decision would do is left to
    /// the next tick.
    fn refresh(&mut self, now: Now) {
        self.seen.now = now;
        self.catch_up();
        let can_tell = self.has_seen_enough() || self.seen.unreachable.is_some();
        if self.report_is_fresh || !can_tell {
            return;
        }
        self.look_at_the_rest();
        let Decision { actions, report } = decide(&self.state, &self.seen);
        self.take_report(report);
        // The report asks for no look at a gate that has just been seen open.
        self.undecided |= !actions.is_empty();
    }

    fn listed(&self, run: &QueuedRun) -> Listed {
        let report = self.state.last.as_ref();
        let waiting_on = report.and_then(|report| report.waiting.get(&run.run));
        Listed { run: run.clone(), waiting_on: waiting_on.map(Arc::clone).unwrap_or_default() }
    }
}

/// What would be at these positions of a sorted list.
fn sorted_part<T>(
    list: &mut [T],
    part: Range<usize>,
    by: impl Fn(&T, &T) -> Ordering + Copy,
) -> &[T] {
    let end = part.end.min(list.len());
    let start = part.start.min(end);
    if end < list.len() {
        list.select_nth_unstable_by(end, by);
    }
    let list = &mut list[..end];
    if 0 < start && start < end {
        list.select_nth_unstable_by(start, by);
    }
    let list = &mut list[start..];
    list.sort_unstable_by(by);
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::sorted_part;

    proptest! {
        #[test]
        fn a_part_is_what_the_whole_has_there(
            list in prop::collection::vec(0..50u8, 0..40),
            start in 0..50usize,
            count in 0..50usize,
        ) {
            let mut sorted = list.clone();
            sorted.sort_unstable();
            let expected: Vec<u8> = sorted.into_iter().skip(start).take(count).collect();
            let mut list = list;
            prop_assert_eq!(sorted_part(&mut list, start..start + count, Ord::cmp), expected);
        }
    }
}
