//! Carries decisions out: the only place that writes to the store and starts or stops units.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bij_core::port::{
    Change, Closing, Handover, Ledger, LedgerError, RunQueue, UnitError, UnitManager,
};
use bij_core::queue::{EventKind, QueueState, QueuedRun, RunRef, Submission};
use bij_core::{ExperimentId, Order, Outcome, RunId, Timestamp, error_chain};
use futures_util::FutureExt;

use super::trouble::TroubleSource;
use super::under_way::{Done, Failure, Finished};
use super::{Coordinator, EventData};
use crate::plan::Plan;
use crate::policy::{Action, Report, StopRequest};
use crate::{Ports, RequestError};

/// Number of events that are kept while the store does not take them.
const MAX_UNRECORDED: usize = 256;
/// Number of added runs after which the map of runs is rebuilt compactly: rarely enough to cost a submission
/// nothing, and early enough to keep memory from fragmenting.
const PACK_EVERY: usize = 1024;

impl<P: Ports> Coordinator<P> {
    /// Keeps the report of a decision.
    pub(super) fn take_report(&mut self, report: Report) {
        self.state.keep_report(report);
        self.outdated.have_reported();
    }

    /// Carries out actions. Returns `false` if the store does not take the changes; then nothing has been
    /// decided, and a later decision makes up for it.
    pub(super) fn execute(&mut self, actions: Vec<Action>) -> bool {
        let mut changes = Vec::with_capacity(actions.len());
        let mut orders = Vec::new();
        for action in actions {
            match action {
                Action::Close { run, end } => self.close(&run, &end),
                Action::Change(change) => changes.push(change),
                Action::Start { run, from, why } => {
                    let queued = self.state.runs.get(&run);
                    // Read only now: a decision about ten thousand runs reads no definition.
                    if let Some((hold, _)) = queued.and_then(|run| self.hold_for_extras(run)) {
                        changes.push(hold);
                        continue;
                    }
                    orders.push(UnitOrder::Start { change: changes.len(), run: run.clone() });
                    let state = QueueState::Starting { boot: self.state.boot };
                    changes.push(Change::State { run, from: Some(from), state, why });
                }
                Action::Stop { experiment, order } => {
                    orders.push(UnitOrder::Stop { experiment, order });
                }
            }
        }
        let is_starting = |run: &&QueuedRun| matches!(run.state, QueueState::Starting { .. });
        let before: BTreeSet<RunId> =
            self.state.up().filter(is_starting).map(|run| run.run.clone()).collect();
        let Ok(outcomes) = self.change(&changes) else { return false };
        for order in orders {
            match order {
                UnitOrder::Start { change, run } => {
                    let is_admitted = outcomes[change] == Outcome::Changed || before.contains(&run);
                    if is_admitted {
                        self.start(run);
                    } else {
                        // The run has ended meanwhile.
                        self.outdated.queue();
                    }
                }
                UnitOrder::Stop { experiment, order } => self.stop(experiment, &order),
            }
        }
        true
    }

    /// Carries out what a request changes, and returns the outcome for each run of it. What is acknowledged is in
    /// the store. If a unit has to be stopped, the next tick stops it; its end is an event.
    pub(super) fn carry_out(
        &mut self,
        plan: Plan,
        by: &str,
    ) -> Result<BTreeMap<RunId, Outcome>, RequestError> {
        let Plan { changes, stops, retried } = plan;
        let outcomes = self.change(&changes).map_err(RequestError::Store)?;
        let mut changed: BTreeMap<RunId, Outcome> = BTreeMap::new();
        for (change, outcome) in changes.iter().zip(outcomes) {
            match (run_of(change), outcome) {
                (Some(run), Outcome::Changed) => {
                    changed.insert(run.clone(), outcome);
                }
                // A hook has begun its attempt since the state was read.
                (Some(run), Outcome::Unchanged) if !self.state.has(change) => {
                    return Err(RequestError::JustStarting { run: run.clone() });
                }
                _ => {}
            }
        }
        for run in stops {
            let request = StopRequest { order: Order::stop(by), not_before: self.seen.now.uptime };
            self.state.stops.insert(run.experiment.clone(), request);
            self.outdated.unit(run.experiment.clone());
            changed.insert(run, Outcome::Changed);
        }
        for run in &retried {
            self.state.back_off.remove(run);
        }
        Ok(changed)
    }

    /// Applies changes to the store, then to the copy.
    pub(super) fn change(&mut self, changes: &[Change]) -> Result<Vec<Outcome>, Arc<LedgerError>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        for change in changes {
            self.remove_extras_of_ended(change);
        }
        let taken = self.adapters.store.change(changes, self.seen.now.at);
        // If it failed, only the store knows whether the changes were written after all.
        self.outdated.decision();
        let outcomes = self.written(taken).map_err(Arc::new)?;
        for (change, outcome) in changes.iter().zip(&outcomes) {
            match outcome {
                Outcome::Changed => self.state.apply(change),
                // Another program has changed the run before.
                Outcome::Unchanged if !self.state.has(change) => self.outdated.queue(),
                Outcome::Unchanged => {}
            }
        }
        Ok(outcomes)
    }

    /// Applies changes that hold whether or not the store takes them; it gets them again once it does. Returns
    /// the error of the store.
    pub(super) fn correct(&mut self, changes: &[Change]) -> Option<Arc<LedgerError>> {
        let error = self.change(changes).err()?;
        for change in changes {
            self.state.apply(change);
        }
        Some(error)
    }

    /// Submits runs to the store and to the copy. Their gates are known after the next decision.
    pub(super) fn queue_runs(
        &mut self,
        submissions: &[Submission],
    ) -> Result<Vec<RunId>, LedgerError> {
        let taken = self.adapters.store.submit(submissions, self.seen.now.at);
        let runs = self.written(taken)?;
        Ok(runs.into_iter().map(|run| self.add_to_copy(run)).collect())
    }

    /// Adds a submitted run to the copy. If nothing can start anyway, no decision is needed.
    fn add_to_copy(&mut self, run: QueuedRun) -> RunId {
        let is_shut = self.state.last.as_ref().is_some_and(|report| report.shut);
        if !is_shut || run.terms.now {
            self.outdated.decision();
        }
        self.outdated.report();
        self.seen.others.remove(&RunRef::Newest(run.run.experiment.clone()));
        let id = run.run.clone();
        self.state.runs.insert(id.clone(), run);
        if self.state.runs.len().is_multiple_of(PACK_EVERY) {
            self.state.pack();
        }
        id
    }

    /// Notes whether the store took what was written.
    fn written<T>(&mut self, taken: Result<T, LedgerError>) -> Result<T, LedgerError> {
        match &taken {
            Ok(_) => self.troubles.clear(TroubleSource::Store),
            Err(error) => {
                self.outdated.queue();
                self.troubles.record(TroubleSource::Store, error, self.seen.now);
            }
        }
        taken
    }

    /// Records the end of an attempt, as its `end` hook would have done.
    fn close(&mut self, run: &RunId, end: &Closing) {
        self.seen.unclosed.retain(|(_, closing)| closing.key != end.key);
        let store = &mut self.adapters.store;
        let closed = store.close(end).and_then(|_| store.tally(&run.experiment));
        match closed {
            Ok(tally) => {
                self.outdated.decision();
                // Extras that stay apply to the next run.
                if tally.last_run_end.is_some() {
                    self.remove_extras(run);
                }
            }
            Err(error) => {
                self.troubles.record(TroubleSource::Store, &error, self.seen.now);
                self.schedule_unclosed_search();
            }
        }
    }

    /// Removes the extras of a run that ends without being up, so that the next run does not get them. This
    /// comes before the end is written: if the coordinator is killed in between, the run still waits, and gets
    /// its extras again when it starts.
    fn remove_extras_of_ended(&mut self, change: &Change) {
        let Change::End { run, end: _, by: _ } = change else { return };
        let experiment = &run.experiment;
        let has_extras = self.state.runs.get(run).is_some_and(|run| !run.extras.is_empty());
        let others = self.state.up_of(experiment).is_some_and(|up| up.run != *run);
        if has_extras && !others && !self.seen.is_on_its_way(experiment) {
            self.remove_extras(run);
        }
    }

    fn remove_extras(&mut self, run: &RunId) {
        if let Err(error) = self.adapters.handover.extras(&run.experiment, "") {
            let data = [("action", "end".to_owned()), ("text", error_chain(&error))];
            self.note(EventKind::ActionFailed, Some(run), data);
        }
    }

    /// Puts the extras of a run in place before its start: those in place may be another run's, or missing. Returns
    /// the error as a text.
    pub(super) fn hand_extras_over(&self, run: &QueuedRun, in_place: &str) -> Result<(), String> {
        if run.extras == in_place {
            return Ok(());
        }
        let handed_over = self.adapters.handover.extras(&run.run.experiment, &run.extras);
        handed_over.map_err(|error| error_chain(&error))
    }

    /// Records a single event. An event that cannot be recorded is dropped.
    pub(super) fn note<const N: usize>(
        &mut self,
        kind: EventKind,
        run: Option<&RunId>,
        data: [(&str, String); N],
    ) {
        let data: EventData = data.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
        let note = Change::Note { kind, run: run.cloned(), data };
        if let Err(error) = self.adapters.store.change(&[note], self.seen.now.at) {
            self.troubles.record(TroubleSource::Store, &error, self.seen.now);
        }
    }

    /// Has an event recorded as soon as the store takes it.
    pub(super) fn note_later(&mut self, kind: EventKind, run: Option<RunId>, data: EventData) {
        self.unrecorded.push((Change::Note { kind, run, data }, self.seen.now.at));
        let surplus = self.unrecorded.len().saturating_sub(MAX_UNRECORDED);
        self.unrecorded.drain(..surplus);
    }

    /// Records the events that are not in the store yet, oldest first.
    pub(super) fn record_notes(&mut self) {
        let is_waiting = self.troubles.is_waiting(TroubleSource::Store, self.seen.now.uptime);
        while let Some((note, at)) = self.unrecorded.first().filter(|_| !is_waiting) {
            let at: Timestamp = *at;
            if let Err(error) = self.adapters.store.change(std::slice::from_ref(note), at) {
                self.troubles.record(TroubleSource::Store, &error, self.seen.now);
                return;
            }
            self.unrecorded.remove(0);
        }
    }

    fn start(&mut self, run: RunId) {
        let experiment = run.experiment.clone();
        self.state.begin_start(&experiment);
        let extras = self.state.runs.get(&run).map_or("", |run| run.extras.as_str());
        let handed_over = self.adapters.handover.extras(&experiment, extras);
        let units = Arc::clone(&self.adapters.units);
        let start = async move {
            let result = match handed_over {
                Ok(()) => units.start(&experiment).await.map_err(|error| {
                    let text = with_remedy(&error);
                    if error.is_transient() {
                        Failure::Transient(text)
                    } else {
                        Failure::Permanent(text)
                    }
                }),
                Err(error) => Err(Failure::Permanent(error_chain(&error))),
            };
            Finished { experiment, done: Done::Start { run, result } }
        };
        self.under_way.push(start.boxed());
    }

    fn stop(&mut self, experiment: ExperimentId, order: &Order) {
        self.state.begin_stop(&experiment, order);
        let notice_error = self.adapters.handover.stop(&experiment, order).err();
        if let Some(error) = notice_error {
            let text = format!("it is stopped without a word to it: {}", error_chain(&error));
            let data = [("action", "stop".to_owned()), ("text", text)];
            let run = self.state.up_of(&experiment).map(|run| run.run.clone());
            self.note(EventKind::ActionFailed, run.as_ref(), data);
        }
        let units = Arc::clone(&self.adapters.units);
        let stop = async move {
            let result = units.stop(&experiment).await.map_err(|error| error_chain(&error));
            Finished { experiment, done: Done::Stop { result } }
        };
        self.under_way.push(stop.boxed());
    }
}

/// A start or stop of a unit that follows once the changes are recorded.
enum UnitOrder {
    Start { change: usize, run: RunId },
    Stop { experiment: ExperimentId, order: Order },
}

/// Returns the run that a change is about, if it is about one that the request named.
const fn run_of(change: &Change) -> Option<&RunId> {
    match change {
        Change::State { run, .. }
        | Change::Edit { run, .. }
        | Change::Move { run, .. }
        | Change::Bypassed { run, .. }
        | Change::Stop { run, .. }
        | Change::End { run, .. } => Some(run),
        Change::SetGroup { .. }
        | Change::RemoveGroup { .. }
        | Change::Pause { .. }
        | Change::Note { .. } => None,
    }
}

/// Returns an error of the service manager with all its causes and the command that remedies it, if one is
/// known: the reason why a run waits is a single text.
fn with_remedy(error: &UnitError) -> String {
    match error.remedy() {
        Some(remedy) => format!("{}; what helps is `{remedy}`", error_chain(error)),
        None => error_chain(error),
    }
}
