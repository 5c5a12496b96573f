//! Runs whose ends are waited for.
//!
//! One listing of the queue tells which of them are over; from then on the events tell. So the cost of
//! waiting grows with the events, not with the events times the runs. The queue is listed again only after
//! another source has begun to answer, or where events are missing or not announced.

use std::collections::{HashMap, HashSet};

use bij_api::message::{Entry, Event, QueueQuery, State};
use bij_core::queue::{EventKind, RunRef};
use bij_core::{AttemptEnd, Evidence, Exit, RunEnd, RunId};

use super::Live;
use crate::error::CliError;

/// Watches runs that are not over.
pub(crate) struct OpenRuns<'a> {
    live: Live<'a>,
    /// Each with the end of its last attempt, if an event told it.
    open: HashMap<RunId, Option<AttemptEnd>>,
    /// The newest event that was read.
    seen: u64,
    /// How often the source had been replaced when the queue was listed.
    listed: u32,
}

/// A run that is over now.
pub(crate) struct Ended {
    pub(crate) run: RunId,
    pub(crate) end: Option<RunEnd>,
    /// How its last attempt ended, if an event told it.
    pub(crate) last: Option<AttemptEnd>,
}

impl<'a> OpenRuns<'a> {
    /// Begins to watch runs; the first [`catch_up`](Self::catch_up) returns those that are over already.
    pub(crate) fn new(live: Live<'a>, runs: impl IntoIterator<Item = RunId>) -> Self {
        let open = runs.into_iter().map(|run| (run, None)).collect();
        // No listing was made under this number yet.
        let listed = live.replaced().wrapping_sub(1);
        Self { live, open, seen: 0, listed }
    }

    /// Adds a run that was found in the queue after this watch began.
    pub(crate) fn add(&mut self, run: RunId) {
        self.open.insert(run, None);
    }

    /// Forgets a run.
    pub(crate) fn remove(&mut self, run: &RunId) {
        self.open.remove(run);
    }

    /// Where the runs are looked up.
    pub(crate) fn live(&mut self) -> &mut Live<'a> {
        &mut self.live
    }

    /// Returns whether all of them are over.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns the runs that have ended since the last call, without waiting for any.
    pub(crate) async fn catch_up(&mut self) -> Result<Vec<Ended>, CliError> {
        let mut ended = Vec::new();
        if self.must_list() || self.begins_anew().await {
            self.list(&mut ended).await?;
            return Ok(ended);
        }
        while self.seen < self.live.announced() {
            let events = self.live.events(self.seen).await?;
            let is_next = |event: &Event| event.seq == self.seen.saturating_add(1);
            if self.must_list() || !events.first().is_some_and(is_next) {
                self.list(&mut ended).await?;
                break;
            }
            for event in events {
                self.seen = event.seq;
                self.take(&event, &mut ended).await?;
            }
        }
        Ok(ended)
    }

    /// Returns whether the numbers of events begin anew, as they do in another database.
    async fn begins_anew(&self) -> bool {
        self.live.announced() < self.seen && self.live.newest_event().await < self.seen
    }

    fn must_list(&self) -> bool {
        self.listed != self.live.replaced() || !self.live.is_announced()
    }

    /// Reads the queue, and asks about the runs that are no longer in it.
    async fn list(&mut self, ended: &mut Vec<Ended>) -> Result<(), CliError> {
        let queued = loop {
            self.listed = self.live.replaced();
            self.seen = self.live.newest_event().await;
            let queued = self.live.queue(&self.query()).await?;
            if self.listed == self.live.replaced() {
                break queued;
            }
        };
        let queued: HashSet<RunId> = queued.iter().map(Entry::id).collect();
        let gone: Vec<RunId> =
            self.open.keys().filter(|run| !queued.contains(run)).cloned().collect();
        for run in gone {
            self.ask(&run, ended).await?;
        }
        Ok(())
    }

    /// The runs of one experiment, if all watched runs are of one.
    fn query(&self) -> QueueQuery {
        let mut experiments = self.open.keys().map(|run| &run.experiment);
        let first = experiments.next().filter(|first| experiments.all(|other| other == *first));
        QueueQuery { experiment: first.cloned(), ..QueueQuery::default() }
    }

    async fn ask(&mut self, run: &RunId, ended: &mut Vec<Ended>) -> Result<(), CliError> {
        let entry = self.live.why(&RunRef::Run(run.clone())).await?.entry;
        if entry.state == State::Ended {
            self.end(run, entry.ended, ended);
        }
        Ok(())
    }

    async fn take(&mut self, event: &Event, ended: &mut Vec<Ended>) -> Result<(), CliError> {
        let Some(run) = run_of(event).filter(|run| self.open.contains_key(run)) else {
            return Ok(());
        };
        match event.kind {
            EventKind::AttemptEnded => {
                self.open.insert(run, attempt_end(event));
            }
            EventKind::RunEnded => match event.data.get("end").and_then(|word| run_end(word)) {
                Some(end) => self.end(&run, Some(end), ended),
                None => self.ask(&run, ended).await?,
            },
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, run: &RunId, end: Option<RunEnd>, ended: &mut Vec<Ended>) {
        let last = self.open.remove(run).flatten();
        ended.push(Ended { run: run.clone(), end, last });
    }
}

fn run_of(event: &Event) -> Option<RunId> {
    Some(RunId { experiment: event.experiment.clone()?, number: event.run? })
}

fn run_end(word: &str) -> Option<RunEnd> {
    RunEnd::ALL.into_iter().find(|end| end.as_str() == word)
}

/// What an event tells of the end of an attempt, which is all that an exit code depends on.
fn attempt_end(event: &Event) -> Option<AttemptEnd> {
    let number = |key| event.data.get(key).and_then(|text| text.parse().ok());
    let mut evidence = Evidence::default();
    evidence.exit = number("code").map(Exit::Code).or_else(|| number("signal").map(Exit::Signal));
    let cause = event.data.get("cause")?.parse().ok()?;
    Some(AttemptEnd { at: event.at, cause, evidence })
}
