//! Read access: the queue, reasons for waiting, health, status, events.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use bij_core::port::{RunQueue, newest_run};
use bij_core::queue::{Event, Pause, QueueState, QueuedRun, RunRef};
use bij_core::request::{CoordinatorStatus, GroupStatus, Page, QueueEntry, QueueQuery, Why};
use bij_core::{Bytes, RunId};

use super::Coordinator;
use crate::entry_writer::EntryWriter;
use crate::policy::HealthMemory;
use crate::{Health, Now, Ports, RequestError, plan};

impl<P: Ports> Coordinator<P> {
    /// Returns all queued runs with their closed gates: first the runs that are up, then the others in starting
    /// order.
    pub fn queue(&mut self, now: Now) -> Vec<QueueEntry> {
        self.queue_page(&QueueQuery::default(), u32::MAX, now).items
    }

    /// Returns one page of [`queue`](Self::queue) with up to `at_most` runs.
    ///
    /// Only the page is sorted and copied, so that reading all pages costs no more than reading the whole.
    pub fn queue_page(&mut self, query: &QueueQuery, at_most: u32, now: Now) -> Page<QueueEntry> {
        self.refresh(now);
        let mut runs: Vec<&QueuedRun> =
            self.state.runs.values().filter(|run| query.includes(run)).collect();
        let total = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        let part = query.skip as usize..query.skip.saturating_add(at_most) as usize;
        let up_first = |a: &&QueuedRun, b: &&QueuedRun| {
            (!a.state.is_up(), a.order()).cmp(&(!b.state.is_up(), b.order()))
        };
        let part = sorted_part(&mut runs, part, up_first);
        let mut writer = EntryWriter::default();
        let items = part.iter().map(|run| self.entry(run, &mut writer)).collect();
        Page { items, total, seq: self.seq }
    }

    /// Returns why a run does not start, and the runs ahead of it.
    ///
    /// # Errors
    /// [`RequestError`] if there never was such a run, or the store cannot be read.
    pub fn why(&mut self, run: &RunRef, now: Now) -> Result<Why, RequestError> {
        self.refresh(now);
        let queued = match self.queued(run) {
            Ok(queued) => queued,
            Err(RequestError::Over { run, end }) => {
                let entry = QueueEntry::ended(self.ended_run(run)?, end);
                return Ok(Why { entry, ahead: Vec::new() });
            }
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
        Ok(Why { entry: self.entry(queued, &mut EntryWriter::default()), ahead })
    }

    /// Returns the id of an ended run; an experiment without a queued run stands for its newest run.
    fn ended_run(&self, run: RunRef) -> Result<RunId, RequestError> {
        match &run {
            RunRef::Run(run) => Ok(run.clone()),
            RunRef::Newest(experiment) => newest_run(&self.adapters.store, experiment)
                .map_err(|error| RequestError::Store(Arc::new(error)))?
                .ok_or(RequestError::NoSuchRun(run)),
        }
    }

    /// Returns the health of the runs that are up, as of the last health check.
    pub fn health(&self) -> impl Iterator<Item = (&RunId, &Health)> {
        self.state.health.iter().map(|(run, memory)| (run, &memory.health))
    }

    /// Returns the status of the coordinator.
    pub fn status(&self) -> CoordinatorStatus {
        let count = |matches: &dyn Fn(&QueuedRun) -> bool| {
            let runs = self.state.runs.values().filter(|run| matches(run));
            u32::try_from(runs.count()).unwrap_or(u32::MAX)
        };
        let claims = self.state.up().filter_map(|run| run.terms.claim.memory);
        let untracked_units =
            self.seen.untracked_units.iter().filter_map(|untracked| untracked.claim.memory);
        let claimed = claims.chain(untracked_units).map(Bytes::get).fold(0u64, u64::saturating_add);
        let total = self.seen.sample.memory_total.as_ref().ok();
        let unread = self.state.last.iter().flat_map(|report| report.troubles.iter().cloned());
        let held = self.seen.thermal.held.as_ref();
        let heat = held.map(|because| format!("new starts are on hold because of heat: {because}"));
        let (gpu_memory, gpu_memory_why) = match self.reported_gpu_memory() {
            Some(Ok(used)) => (Some(used), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let (paused_by, paused_since) =
            self.state.paused.clone().map(|Pause { by, since }| (by, since)).unzip();
        CoordinatorStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.since,
            seq: self.seq,
            waiting: count(&|run| run.state == QueueState::Waiting),
            held: count(&|run| matches!(run.state, QueueState::Held { .. })),
            running: count(&|run| self.state.is_up(run)),
            slots: Some(self.state.settings.slots()),
            memory_budget: total.and_then(|total| self.state.settings.budget(*total).at()),
            memory_claimed: Bytes::new(claimed),
            gpu_memory,
            gpu_memory_why,
            paused_by,
            paused_since,
            troubles: self.troubles.texts().chain(unread).chain(heat).collect(),
        }
    }

    /// Returns the sequence number of the newest event that has been applied.
    pub fn newest_event(&self) -> u64 {
        self.seq
    }

    /// Returns the sequence number of the newest event when the whole queue was last read; later events were
    /// applied one by one. It decreases only when another database has replaced the one of the earlier events.
    pub fn loaded_event(&self) -> u64 {
        self.loaded_at
    }

    /// Returns up to `at_most` events after number `after`, oldest first.
    ///
    /// # Errors
    /// [`RequestError::Store`] if they could not be read.
    pub fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, RequestError> {
        let events = self.adapters.store.events(after, at_most);
        events.map_err(|error| RequestError::Store(Arc::new(error)))
    }

    /// Returns all groups that the settings or an operator have set up, or that a queued run names, with
    /// their use.
    pub fn groups(&self) -> Vec<GroupStatus> {
        plan::groups(&self.state)
    }

    /// Recomputes the report if the state has changed since the last decision. Actions are left to the next
    /// tick.
    fn refresh(&mut self, now: Now) {
        self.begin_request(now);
        let can_tell = self.outdated.knows_all_units() || self.seen.unreachable.is_some();
        if self.outdated.is_report_outdated() && can_tell && !self.decide().0.is_empty() {
            // The report schedules nothing for a gate that has just opened.
            self.outdated.only_decision();
        }
    }

    /// Returns the entry of a run, with its gates by the last report and its health by the last health check.
    fn entry(&self, run: &QueuedRun, writer: &mut EntryWriter) -> QueueEntry {
        let report = self.state.last.as_ref();
        let waiting_on = report.and_then(|report| report.waiting.get(&run.run));
        let mut entry = writer.entry(run, &waiting_on.map(Arc::clone).unwrap_or_default());
        if let Some(HealthMemory { health, .. }) = self.state.health.get(&run.run) {
            entry.health = Some(health.as_str().to_owned());
            entry.health_reason = health.reason().map(ToOwned::to_owned);
        }
        entry
    }
}

/// Returns the part of the list that would be at these positions if it were sorted.
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
