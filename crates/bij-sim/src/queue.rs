//! The queue of a ledger in memory.

use std::collections::BTreeMap;

use bij_core::port::{Change, LedgerError, RunQueue};
use bij_core::queue::{
    Event, Group, GroupName, NewEvent, Pause, Queue, QueuePosition, QueueState, QueuedRun, RunRef,
    Submission,
};
use bij_core::{ExperimentId, History, Outcome, RunEnd, RunId, RunNumber, RunState, Timestamp};

use crate::MemoryLedger;
use crate::ledger::LedgerState;

/// The parts of a queue besides its runs, which are in the histories.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryQueue {
    groups: BTreeMap<GroupName, Group>,
    paused: Option<Pause>,
    last_position: i64,
    events: Vec<Event>,
}

impl MemoryQueue {
    /// Returns the position behind all positions given so far.
    pub(crate) const fn next_position(&self) -> QueuePosition {
        QueuePosition(self.last_position.saturating_add(1))
    }

    /// Marks the next position as given.
    pub(crate) const fn take_position(&mut self) {
        self.last_position = self.next_position().0;
    }

    /// Records events.
    pub(crate) fn record(&mut self, happened: impl IntoIterator<Item = NewEvent>, at: Timestamp) {
        for event in happened {
            let seq = self.events.last().map_or(1, |event| event.seq + 1);
            self.events.push(event.numbered(seq, at));
            let too_many = self.events.len().saturating_sub(Event::KEPT);
            self.events.drain(..too_many);
        }
    }

    /// Records the run ends that are new since `before`.
    pub(crate) fn record_run_ends(
        &mut self,
        experiment: &ExperimentId,
        before: &BTreeMap<RunNumber, RunEnd>,
        history: &History,
        at: Timestamp,
    ) {
        let new = history.run_ends().iter().filter(|(number, _)| !before.contains_key(number));
        let events = new.map(|(number, end)| {
            let run = RunId { experiment: experiment.clone(), number: *number };
            NewEvent::run_ended(&run, *end, None)
        });
        self.record(events, at);
    }
}

impl LedgerState {
    fn queued(&mut self, run: &RunId) -> Option<&mut QueuedRun> {
        self.histories.get_mut(&run.experiment)?.queued_mut(run.number)
    }

    fn submit(&mut self, submission: &Submission, at: Timestamp) -> QueuedRun {
        let history = self.histories.entry(submission.experiment.clone()).or_default();
        let queued = history.submit(submission, self.queue.next_position(), at).clone();
        self.queue.take_position();
        self.queue.record([NewEvent::submitted(&queued)], at);
        queued
    }

    /// Makes a change. Returns the events to record, possibly none, or `None` if nothing changed.
    fn change(&mut self, change: &Change) -> Option<Vec<NewEvent>> {
        match change {
            Change::State { run, from, state, why } => {
                let queued = self.queued(run).filter(|queued| queued.state != *state)?;
                if from.as_ref().is_some_and(|from| queued.state != *from) {
                    return None;
                }
                let event = NewEvent::moved_on(run, &queued.state, state, why);
                (queued.state, queued.stop) = (state.clone(), None);
                Some(vec![event])
            }
            Change::Edit { run, terms, by } => {
                let queued = self.queued(run).filter(|queued| queued.terms != **terms)?;
                queued.terms = terms.as_ref().clone();
                Some(vec![NewEvent::edited(run, by)])
            }
            Change::Move { run, position, by } => {
                let queued = self.queued(run).filter(|queued| queued.position != *position)?;
                queued.position = *position;
                self.queue.last_position = self.queue.last_position.max(position.0);
                Some(by.iter().map(|by| NewEvent::moved(run, by)).collect())
            }
            Change::Bypassed { run, times } => {
                let queued = self.queued(run).filter(|queued| queued.bypassed != *times)?;
                queued.bypassed = *times;
                Some(Vec::new())
            }
            Change::Stop { run, by } => {
                let queued = self.queued(run).filter(|queued| queued.stop.is_none())?;
                if queued.state != QueueState::Running {
                    return None;
                }
                queued.stop = Some(by.clone());
                Some(vec![NewEvent::stop_requested(run, by)])
            }
            Change::End { run, end, by } => {
                let history = self.histories.get_mut(&run.experiment)?;
                let ended = history.end(run.number, *end) == Outcome::Changed;
                ended.then(|| vec![NewEvent::run_ended(run, *end, Some(by))])
            }
            Change::SetGroup { group, by } => {
                let before = self.queue.groups.insert(group.name.clone(), group.clone());
                let changed = before.as_ref() != Some(group);
                changed.then(|| vec![NewEvent::group_set(before.as_ref(), group, by)])
            }
            Change::RemoveGroup { name, by } => {
                self.queue.groups.remove(name).map(|_| vec![NewEvent::group_removed(name, by)])
            }
            Change::Pause { pause, by } => {
                if self.queue.paused.is_some() == pause.is_some() {
                    return None;
                }
                self.queue.paused.clone_from(pause);
                Some(vec![NewEvent::paused(pause.as_ref(), by)])
            }
            Change::Note { kind, run, data } => {
                let note = NewEvent::new(*kind, run.as_ref());
                Some(vec![NewEvent { data: data.clone(), ..note }])
            }
        }
    }
}

impl RunQueue for MemoryLedger {
    fn load(&self) -> Result<Queue, LedgerError> {
        let state = self.readable()?;
        Ok(Queue {
            runs: state.histories.values().flat_map(History::queued).cloned().collect(),
            groups: state.queue.groups.values().cloned().collect(),
            paused: state.queue.paused.clone(),
        })
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        let mut state = self.writable()?;
        Ok(submissions.iter().map(|submission| state.submit(submission, at)).collect())
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        let mut state = self.writable()?;
        let mut outcomes = Vec::new();
        for change in changes {
            outcomes.push(match state.change(change) {
                Some(events) => {
                    state.queue.record(events, at);
                    Outcome::Changed
                }
                None => Outcome::Unchanged,
            });
        }
        Ok(outcomes)
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        let state = self.readable()?;
        Ok(state.histories.get(run.experiment()).and_then(|history| match run {
            RunRef::Newest(_) => history.run_state(history.highest()?),
            RunRef::Run(run) => history.run_state(run.number),
        }))
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        let state = self.readable()?;
        let events = &state.queue.events;
        let first = events.partition_point(|event| event.seq <= after);
        Ok(events[first..].iter().take(at_most).cloned().collect())
    }
}
