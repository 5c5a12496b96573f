//! What a decision does to the state, and what the caller reports afterwards.

use bij_core::port::Change;
use bij_core::queue::QueueState;
use bij_core::{AttemptKey, ExperimentId, Order, RunId, Uptime};

use super::{Action, BackOff, Busy, Decision, Report, State, StopRequest};

/// # Policy without a coordinator
/// A [`Coordinator`](crate::Coordinator) records changes in its store and orders units. A program without one gives
/// each decision to [`carry_out`](Self::carry_out), starts and stops what the decision names by its own means, and
/// reports the results with the methods here.
impl State {
    /// Applies what a decision does: its changes, the starts and stops that are now under way, and its report.
    ///
    /// The next decision from the same observation then has no actions. The exception is a decision that ends or
    /// requeues runs whose units are down: the next one starts other runs in their place. So a program decides and
    /// carries out until a decision has no actions, or decides again at the next event. The state must be the state
    /// that was decided about.
    pub fn carry_out(&mut self, decision: &Decision) {
        let Decision { actions, report } = decision;
        for action in actions {
            match action {
                Action::Close { run, end } => {
                    self.closed.entry(run.experiment.clone()).or_default().insert(end.key);
                }
                Action::Change(change) => {
                    if let Change::End { run, .. } = change {
                        self.keep_number(run);
                    }
                    self.apply(change);
                }
                Action::Start { run, from: _, why: _ } => {
                    self.set_state(run, QueueState::Starting { boot: self.boot });
                    self.begin_start(&run.experiment);
                }
                Action::Stop { experiment, order } => self.begin_stop(experiment, order),
            }
        }
        self.keep_report(report.clone());
    }

    /// Notes that the unit of an experiment is up: its run is running.
    pub fn unit_started(&mut self, experiment: &ExperimentId) {
        if self.busy.get(experiment) == Some(&Busy::Starting) {
            self.busy.remove(experiment);
        }
        self.closed.remove(experiment);
        if let Some(run) = self.up_of(experiment).map(|up| up.run.clone()) {
            self.back_off.remove(&run);
            self.set_running(&run);
        }
    }

    /// Notes that a run could not be started, with the error as a fragment. It waits for a moment that grows with
    /// each failure; after [`MAX_TRIES`](super::MAX_TRIES) it is held.
    pub fn start_failed(&mut self, run: &RunId, uptime: Uptime, why: &str) {
        if self.busy.get(&run.experiment) == Some(&Busy::Starting) {
            self.busy.remove(&run.experiment);
        }
        let Some(queued) = self.runs.get(run) else { return };
        let back_off = BackOff::after(self.back_off.get(run), uptime, why);
        let change = back_off.consequence(queued);
        self.apply(&change);
        self.back_off.insert(run.clone(), back_off);
    }

    /// Notes that a stop has been carried out, or has failed: a unit that is still to be stopped is stopped again.
    /// The run stays in the queue until it [has ended](Self::run_ended).
    pub fn unit_stopped(&mut self, experiment: &ExperimentId) {
        self.busy.remove(experiment);
        self.stops.remove(experiment);
    }

    /// Removes a run that has ended. If it was up, its unit is down.
    pub fn run_ended(&mut self, run: &RunId) {
        let was_up = self.runs.get(run).is_some_and(|run| self.is_up(run));
        self.keep_number(run);
        self.forget(run);
        if was_up {
            self.unit_stopped(&run.experiment);
        }
    }

    /// Notes that the start of a unit is under way, which takes back a requested stop.
    pub(crate) fn begin_start(&mut self, experiment: &ExperimentId) {
        self.busy.insert(experiment.clone(), Busy::Starting);
        self.stops.remove(experiment);
    }

    /// Notes that the stop of a unit is under way.
    pub(crate) fn begin_stop(&mut self, experiment: &ExperimentId, order: &Order) {
        self.busy.insert(experiment.clone(), Busy::Stopping);
        if !self.stops.contains_key(experiment) {
            let request = StopRequest { order: order.clone(), not_before: Uptime::BOOT };
            self.stops.insert(experiment.clone(), request);
        }
    }

    /// Keeps the report of a decision for the next one.
    pub(crate) fn keep_report(&mut self, report: Report) {
        self.health.clone_from(&report.health);
        self.over_gpu_memory.clone_from(&report.over_gpu_memory);
        self.last = Some(report);
    }

    /// Returns whether the end of this attempt was recorded since the unit was last up.
    pub(super) fn has_closed(&self, experiment: &ExperimentId, attempt: &AttemptKey) -> bool {
        self.closed.get(experiment).is_some_and(|closed| closed.contains(attempt))
    }
}
