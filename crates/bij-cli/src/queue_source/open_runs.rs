//! Waits for the ends of runs.
//!
//! One listing of the queue shows which runs are over; from then on the events do. The cost of waiting
//! grows with the number of events, not with events times runs. The queue is listed again only after the
//! source was replaced, or where events are missing or not announced.

use std::collections::{HashMap, HashSet};

use bij_core::queue::{Event, EventKind, RunRef};
use bij_core::request::{EntryState, QueueEntry, QueueQuery};
use bij_core::{AttemptEnd, Evidence, Exit, RunEnd, RunId};

use super::QueueWatch;
use crate::error::CliError;

/// Runs that are not over yet.
pub(crate) struct OpenRuns<'a> {
    watch: QueueWatch<'a>,
    /// Each run with the end of its last attempt, if an event has reported it.
    open: HashMap<RunId, Option<AttemptEnd>>,
    /// The number of the newest event that was read.
    seen: u64,
    /// How often the source had been replaced when the queue was listed.
    listed: u32,
}

/// A run that is over.
pub(crate) struct FinishedRun {
    pub(crate) run: RunId,
    pub(crate) end: Option<RunEnd>,
    /// The end of its last attempt, if an event has reported it.
    pub(crate) last: Option<AttemptEnd>,
}

impl<'a> OpenRuns<'a> {
    /// Starts to watch runs. The first [`catch_up`](Self::catch_up) returns the runs that are over already.
    pub(crate) fn new(watch: QueueWatch<'a>, runs: impl IntoIterator<Item = RunId>) -> Self {
        let open = runs.into_iter().map(|run| (run, None)).collect();
        // Differs from the source's number, so that the first call lists the queue.
        let listed = watch.replaced().wrapping_sub(1);
        Self { watch, open, seen: 0, listed }
    }

    /// Adds a run that is in the queue.
    pub(crate) fn add(&mut self, run: RunId) {
        self.open.insert(run, None);
    }

    /// Removes a run; its end is no longer awaited.
    pub(crate) fn remove(&mut self, run: &RunId) {
        self.open.remove(run);
    }

    /// Returns the watch by which the runs are read.
    pub(crate) fn watch(&mut self) -> &mut QueueWatch<'a> {
        &mut self.watch
    }

    /// Returns whether all runs are over.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns the runs that have ended since the last call, without waiting for any.
    pub(crate) async fn catch_up(&mut self) -> Result<Vec<FinishedRun>, CliError> {
        let mut ended = Vec::new();
        if self.must_list() || self.is_new_database().await {
            self.list(&mut ended).await?;
            return Ok(ended);
        }
        while self.seen < self.watch.announced() {
            let events = self.watch.events(self.seen).await?;
            let is_next = |event: &Event| event.seq == self.seen.saturating_add(1);
            if self.must_list() || !events.first().is_some_and(is_next) {
                self.list(&mut ended).await?;
                break;
            }
            for event in events {
                self.seen = event.seq;
                self.handle_event(&event, &mut ended).await?;
            }
        }
        Ok(ended)
    }

    /// Returns whether the event numbers have gone back, as they do with another database.
    async fn is_new_database(&self) -> bool {
        self.watch.announced() < self.seen && self.watch.newest_event().await < self.seen
    }

    fn must_list(&self) -> bool {
        self.listed != self.watch.replaced() || !self.watch.is_announced()
    }

    /// Lists the queue, and reads each run that is no longer in it.
    async fn list(&mut self, ended: &mut Vec<FinishedRun>) -> Result<(), CliError> {
        let queued = loop {
            self.listed = self.watch.replaced();
            self.seen = self.watch.newest_event().await;
            let queued = self.watch.queue(&self.query()).await?;
            if self.listed == self.watch.replaced() {
                break queued;
            }
        };
        let queued: HashSet<RunId> = queued.iter().map(QueueEntry::id).collect();
        let gone: Vec<RunId> =
            self.open.keys().filter(|run| !queued.contains(run)).cloned().collect();
        for run in gone {
            self.read(&run, ended).await?;
        }
        Ok(())
    }

    /// Returns a query for one experiment if all runs are of one, else for all.
    fn query(&self) -> QueueQuery {
        let mut experiments = self.open.keys().map(|run| &run.experiment);
        let first = experiments.next().filter(|first| experiments.all(|other| other == *first));
        QueueQuery { experiment: first.cloned(), ..QueueQuery::default() }
    }

    async fn read(&mut self, run: &RunId, ended: &mut Vec<FinishedRun>) -> Result<(), CliError> {
        let entry = self.watch.why(&RunRef::Run(run.clone())).await?.entry;
        if entry.state == EntryState::Ended {
            self.end(run, entry.ended, ended);
        }
        Ok(())
    }

    async fn handle_event(
        &mut self,
        event: &Event,
        ended: &mut Vec<FinishedRun>,
    ) -> Result<(), CliError> {
        let Some(run) = run_of(event).filter(|run| self.open.contains_key(run)) else {
            return Ok(());
        };
        match event.kind {
            EventKind::AttemptEnded => {
                self.open.insert(run, attempt_end(event));
            }
            EventKind::RunEnded => match event.data.get("end").and_then(|word| run_end(word)) {
                Some(end) => self.end(&run, Some(end), ended),
                None => self.read(&run, ended).await?,
            },
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, run: &RunId, end: Option<RunEnd>, ended: &mut Vec<FinishedRun>) {
        let last = self.open.remove(run).flatten();
        ended.push(FinishedRun { run: run.clone(), end, last });
    }
}

fn run_of(event: &Event) -> Option<RunId> {
    Some(RunId { experiment: event.experiment.clone()?, number: event.run? })
}

fn run_end(word: &str) -> Option<RunEnd> {
    RunEnd::ALL.into_iter().find(|end| end.as_str() == word)
}

/// Returns the end of an attempt as an event reports it, which suffices for the exit code.
fn attempt_end(event: &Event) -> Option<AttemptEnd> {
    let number = |key| event.data.get(key).and_then(|text| text.parse().ok());
    let mut evidence = Evidence::default();
    evidence.exit = number("code").map(Exit::Code).or_else(|| number("signal").map(Exit::Signal));
    let cause = event.data.get("cause")?.parse().ok()?;
    Some(AttemptEnd { at: event.at, cause, evidence })
}
