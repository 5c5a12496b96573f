//! Requests that act on queued runs: hold, release, cancel, requeue, stop, prioritize, move.

use std::collections::BTreeMap;
use std::sync::Arc;

use bij_core::port::{Change, RunQueue};
use bij_core::queue::{QueueState, QueuedRun, RunRef};
use bij_core::request::{Act, RunOutcome};
use bij_core::{Order, Outcome, RunEnd, RunId, RunState};

use super::Coordinator;
use super::positions::{move_runs, move_to_front};
use crate::policy::StopRequest;
use crate::{Now, Ports, RequestError};

impl<P: Ports> Coordinator<P> {
    /// Carries out a request for all of these runs, or for none.
    ///
    /// What is acknowledged is in the store. If a unit has to be stopped, the next [`tick`](Self::tick) stops
    /// it; its end is an event.
    ///
    /// # Errors
    /// [`RequestError`] if the request is impossible for one of them; then nothing is changed.
    pub fn act(
        &mut self,
        runs: &[RunRef],
        act: &Act,
        by: &str,
        now: Now,
    ) -> Result<Vec<RunOutcome>, RequestError> {
        self.seen.now = now;
        self.catch_up();
        if runs.is_empty() {
            return Err(RequestError::Nothing);
        }
        let mut named: Vec<QueuedRun> = Vec::with_capacity(runs.len());
        for run in runs {
            let run = self.queued(run)?;
            if !named.iter().any(|known| known.run == run.run) {
                named.push(run.clone());
            }
        }
        let plan = match act {
            Act::Move { to } => move_runs(&self.state, &self.waiting_all(&named)?, to, by)?,
            Act::Requeue => self.requeue(&named, by)?,
            Act::Hold => self.each(&named, |this, run| this.hold(run, by))?,
            Act::Release => self.each(&named, |_, run| Ok(release(run, by)))?,
            Act::Cancel => self.each(&named, |this, run| this.cancel(run, by))?,
            Act::Stop => self.each(&named, |this, run| this.stop_run(run, by))?,
            Act::Prioritize { priority } => {
                self.each(&named, |this, run| this.prioritize(run, *priority, by))?
            }
        };
        let Plan { changes, stops } = plan;
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
        for run in &stops {
            changed.insert(run.clone(), Outcome::Changed);
            let wish = StopRequest { order: Order::stop(by), not_before: now.uptime };
            self.state.stops.insert(run.experiment.clone(), wish);
            self.unit_changed(run.experiment.clone());
        }
        if matches!(act, Act::Release | Act::Requeue) {
            self.state.back_off.retain(|run, _| named.iter().all(|named| named.run != *run));
        }
        let acted = named.into_iter().map(|QueuedRun { run, .. }| {
            let outcome = changed.get(&run).copied().unwrap_or(Outcome::Unchanged);
            RunOutcome::new(run, outcome)
        });
        Ok(acted.collect())
    }

    /// Returns the queued run that a reference names.
    pub(super) fn queued(&self, run: &RunRef) -> Result<&QueuedRun, RequestError> {
        let queued = match run {
            RunRef::Newest(experiment) => self.state.runs_of(experiment).next_back(),
            RunRef::Run(run) => self.state.runs.get(run),
        };
        if let Some(queued) = queued {
            return Ok(queued);
        }
        let state = self.adapters.store.run_state(run);
        match state.map_err(|error| RequestError::Store(Arc::new(error)))? {
            Some(RunState::Ended(end)) => Err(RequestError::Over { run: run.clone(), end }),
            Some(RunState::Open) | None => Err(RequestError::NoSuchRun(run.clone())),
        }
    }

    fn each(
        &self,
        runs: &[QueuedRun],
        plan: impl Fn(&Self, &QueuedRun) -> Result<Plan, RequestError>,
    ) -> Result<Plan, RequestError> {
        let mut whole = Plan::default();
        for run in runs {
            let Plan { changes, stops } = plan(self, run)?;
            whole.changes.extend(changes);
            whole.stops.extend(stops);
        }
        Ok(whole)
    }

    /// Returns the runs, or an error if one of them neither waits nor is held.
    fn waiting_all<'a>(&self, runs: &'a [QueuedRun]) -> Result<Vec<&'a QueuedRun>, RequestError> {
        runs.iter().map(|run| self.waiting(run)).collect()
    }

    pub(super) fn waiting<'a>(&self, run: &'a QueuedRun) -> Result<&'a QueuedRun, RequestError> {
        match &run.state {
            QueueState::Waiting | QueueState::Held { .. } => Ok(run),
            state @ (QueueState::Starting { .. } | QueueState::Running) => {
                // A run that another boot has interrupted will wait in a moment.
                if self.state.interrupted.contains_key(&run.run) {
                    return Ok(run);
                }
                Err(RequestError::NotWaiting { run: run.run.clone(), state: state.clone() })
            }
        }
    }

    fn hold(&self, run: &QueuedRun, by: &str) -> Result<Plan, RequestError> {
        if matches!(run.state, QueueState::Held { .. }) {
            return Ok(Plan::default());
        }
        self.waiting(run)?;
        Ok(Plan::state(run, QueueState::Held { by: by.to_owned() }, format!("held by {by}")))
    }

    fn cancel(&self, run: &QueuedRun, by: &str) -> Result<Plan, RequestError> {
        let end = Change::End { run: run.run.clone(), end: RunEnd::Cancelled, by: by.to_owned() };
        Ok(Plan { changes: vec![end], stops: self.run_to_stop(run)? })
    }

    fn stop_run(&self, run: &QueuedRun, by: &str) -> Result<Plan, RequestError> {
        let stops = self.run_to_stop(run)?;
        let change = |run: &RunId| Change::Stop { run: run.clone(), by: by.to_owned() };
        Ok(Plan { changes: stops.iter().map(change).collect(), stops })
    }

    /// Requeues runs, before all others of their priority and in their current order. Units that are up are
    /// stopped after their runs were requeued, so the stop does not end the runs.
    fn requeue(&self, runs: &[QueuedRun], by: &str) -> Result<Plan, RequestError> {
        let mut plan = Plan::default();
        for run in runs {
            plan.stops.extend(self.run_to_stop(run)?);
            let why = format!("requeued by {by}");
            plan.changes.extend(Plan::state(run, QueueState::Waiting, why).changes);
        }
        let mut ordered: Vec<&QueuedRun> = runs.iter().collect();
        ordered.sort_by(|a, b| a.order().cmp(&b.order()));
        plan.changes.extend(move_to_front(&self.state, &ordered, None));
        Ok(plan)
    }

    fn prioritize(&self, run: &QueuedRun, priority: i32, by: &str) -> Result<Plan, RequestError> {
        let mut terms = self.waiting(run)?.terms.clone();
        terms.priority = priority;
        let (run, by) = (run.run.clone(), by.to_owned());
        Ok(Plan {
            changes: vec![Change::Edit { run, terms: Box::new(terms), by }],
            stops: Vec::new(),
        })
    }

    /// Returns the run itself if its unit has to be stopped. A run that is just starting cannot be taken back:
    /// its hook would find no run to begin, and would make a new one.
    fn run_to_stop(&self, run: &QueuedRun) -> Result<Vec<RunId>, RequestError> {
        if !self.state.is_up(run) {
            return Ok(Vec::new());
        }
        let experiment = &run.run.experiment;
        let is_under_way = self.state.busy.contains_key(experiment)
            || self.seen.is_on_its_way(experiment)
            || self.stale.units.contains(experiment);
        match run.state {
            QueueState::Starting { .. } if is_under_way => {
                Err(RequestError::JustStarting { run: run.run.clone() })
            }
            QueueState::Starting { .. } => Ok(Vec::new()),
            _ => Ok(vec![run.run.clone()]),
        }
    }
}

fn release(run: &QueuedRun, by: &str) -> Plan {
    match &run.state {
        QueueState::Held { .. } => {
            Plan::state(run, QueueState::Waiting, format!("released by {by}"))
        }
        QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => Plan::default(),
    }
}

/// Changes to record, then units to stop.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) stops: Vec<RunId>,
}

impl Plan {
    fn state(run: &QueuedRun, state: QueueState, why: String) -> Self {
        let from = Some(run.state.clone());
        let change = Change::State { run: run.run.clone(), from, state, why };
        Self { changes: vec![change], stops: Vec::new() }
    }
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
