//! Carries decisions out: records the changes, then starts and stops units.

use std::sync::Arc;

use bij_core::port::{Change, Handover, LedgerError, RunQueue, UnitError, UnitManager};
use bij_core::queue::{EventKind, QueueState};
use bij_core::{ExperimentId, Outcome, RunId, error_chain};
use futures_util::FutureExt;

use super::finish::{Done, Finished};
use super::trouble::TroubleSource;
use super::{Coordinator, EventData};
use crate::policy::{Action, Busy, Report};
use crate::{Now, Ports};

impl<P: Ports> Coordinator<P> {
    /// Keeps the report of a decision.
    pub(super) fn take_report(&mut self, report: Report) {
        self.state.health.clone_from(&report.health);
        self.state.over_gpu_memory.clone_from(&report.over_gpu_memory);
        self.state.last = Some(report);
        self.report_is_fresh = true;
    }

    /// Carries out actions. Returns `false` if the store does not take the changes; then nothing has been
    /// decided, and a later decision makes up for it.
    pub(super) fn execute(&mut self, actions: Vec<Action>) -> bool {
        let mut changes = Vec::with_capacity(actions.len());
        let mut orders = Vec::new();
        for action in actions {
            match action {
                Action::Change(change) => changes.push(change),
                Action::Start { run, from, why } => {
                    let queued = self.state.runs.get(&run);
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
        let before = self.starting();
        let Ok(outcomes) = self.change(&changes) else { return false };
        for order in orders {
            match order {
                UnitOrder::Start { change, run } => {
                    let is_let_start =
                        outcomes[change] == Outcome::Changed || before.contains(&run);
                    if is_let_start {
                        self.start(run);
                    } else {
                        // The run has ended meanwhile.
                        self.stale.queue = true;
                    }
                }
                UnitOrder::Stop { experiment, order } => self.stop(experiment, order),
            }
        }
        true
    }

    fn starting(&self) -> Vec<RunId> {
        let is_starting = |state: &QueueState| matches!(state, QueueState::Starting { .. });
        let starting = self.state.up().filter(|run| is_starting(&run.state));
        starting.map(|run| run.run.clone()).collect()
    }

    /// Applies changes to the store, then to the copy.
    pub(super) fn change(&mut self, changes: &[Change]) -> Result<Vec<Outcome>, Arc<LedgerError>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        for change in changes {
            self.remove_extras(change);
        }
        match self.adapters.store.change(changes, self.seen.now.at) {
            Ok(outcomes) => {
                for (change, outcome) in changes.iter().zip(&outcomes) {
                    match outcome {
                        Outcome::Changed => self.state.apply(change),
                        // Another program has changed the run before.
                        Outcome::Unchanged if !self.state.has(change) => self.stale.queue = true,
                        Outcome::Unchanged => {}
                    }
                }
                self.report_is_fresh = false;
                self.undecided = true;
                self.troubles.clear(TroubleSource::Store);
                Ok(outcomes)
            }
            Err(error) => {
                // Only the store knows whether the changes were written after all.
                self.stale.queue = true;
                self.undecided = true;
                self.troubles.record(TroubleSource::Store, &error, self.seen.now);
                Err(Arc::new(error))
            }
        }
    }

    /// Removes the extras of a run that ends without being up, so that the next run does not get them. This
    /// comes before the end is written: if the coordinator is killed in between, the run still waits, and gets
    /// its extras again when it starts.
    fn remove_extras(&mut self, change: &Change) {
        let Change::End { run, end: _, by: _ } = change else { return };
        let experiment = &run.experiment;
        let has_extras = self.state.runs.get(run).is_some_and(|run| !run.extras.is_empty());
        let others = self.state.up_of(experiment).is_some_and(|up| up.run != *run);
        if !has_extras || others || self.seen.is_on_its_way(experiment) {
            return;
        }
        if let Err(error) = self.adapters.handover.extras(experiment, "") {
            let data = [("action", "end".to_owned()), ("text", error_chain(&error))];
            self.note(EventKind::ActionFailed, Some(run), data, self.seen.now);
        }
    }

    /// Records a single event. An event that cannot be recorded is dropped.
    pub(super) fn note<const N: usize>(
        &mut self,
        kind: EventKind,
        run: Option<&RunId>,
        data: [(&str, String); N],
        now: Now,
    ) {
        let data: EventData = data.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
        let note = Change::Note { kind, run: run.cloned(), data };
        if let Err(error) = self.adapters.store.change(&[note], now.at) {
            self.troubles.record(TroubleSource::Store, &error, now);
        }
    }

    fn start(&mut self, run: RunId) {
        let experiment = run.experiment.clone();
        self.state.busy.insert(experiment.clone(), Busy::Starting);
        self.state.stops.remove(&experiment);
        let extras = self.state.runs.get(&run).map_or("", |run| run.extras.as_str());
        let handed_over = self.adapters.handover.extras(&experiment, extras);
        let units = Arc::clone(&self.adapters.units);
        let start = async move {
            let result = match handed_over {
                Ok(()) => units
                    .start(&experiment)
                    .await
                    .map_err(|error| (error.is_transient(), with_remedy(&error))),
                Err(error) => Err((false, error_chain(&error))),
            };
            Finished { experiment, done: Done::Start { run, result } }
        };
        self.under_way.push(start.boxed());
    }

    fn stop(&mut self, experiment: ExperimentId, order: bij_core::Order) {
        self.state.busy.insert(experiment.clone(), Busy::Stopping);
        let notice_error = self.adapters.handover.stop(&experiment, &order).err();
        let wish = crate::policy::StopRequest { order, not_before: self.seen.now.uptime };
        self.state.stops.entry(experiment.clone()).or_insert(wish);
        if let Some(error) = notice_error {
            let text = format!("it is stopped without a word to it: {}", error_chain(&error));
            let data = [("action", "stop".to_owned()), ("text", text)];
            let run = self.state.up_of(&experiment).map(|run| run.run.clone());
            self.note(EventKind::ActionFailed, run.as_ref(), data, self.seen.now);
        }
        let units = Arc::clone(&self.adapters.units);
        let stop = async move {
            let result = units.stop(&experiment).await;
            let result = result.map_err(|error| (error.is_transient(), error_chain(&error)));
            Finished { experiment, done: Done::Stop { result } }
        };
        self.under_way.push(stop.boxed());
    }
}

/// A start or stop of a unit that follows once the changes are recorded.
enum UnitOrder {
    Start { change: usize, run: RunId },
    Stop { experiment: ExperimentId, order: bij_core::Order },
}

/// Returns an error of the service manager with all its causes and the command that remedies it, if one is
/// known: the reason why a run waits is a single text.
fn with_remedy(error: &UnitError) -> String {
    match error.remedy() {
        Some(remedy) => format!("{}; what helps is `{remedy}`", error_chain(error)),
        None => error_chain(error),
    }
}
