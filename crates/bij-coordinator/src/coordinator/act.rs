//! What is done to runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bij_core::port::{Change, RunQueue};
use bij_core::queue::{QueueState, QueuedRun, RunRef};
use bij_core::{Order, Outcome, RunEnd, RunId, RunState};

use super::Coordinator;
use super::places::{front, put};
use crate::policy::StopWish;
use crate::{Act, Acted, Now, Ports, RequestError};

impl<P: Ports> Coordinator<P> {
    /// Does something to runs, to all of them or to none.
    ///
    /// What is acknowledged is in the store. A unit that has to be stopped for it is stopped by the
    /// next [`tick`](Self::tick); its end is an event.
    ///
    /// # Errors
    /// [`RequestError`] if it cannot be done to one of them; then it is done to none.
    pub fn act(
        &mut self,
        runs: &[RunRef],
        act: &Act,
        by: &str,
        now: Now,
    ) -> Result<Vec<Acted>, RequestError> {
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
            Act::Move(to) => put(&self.state, &self.waiting_all(&named)?, to, by)?,
            Act::Requeue => self.requeue(&named, by)?,
            Act::Hold => self.each(&named, |this, run| this.hold(run, by))?,
            Act::Release => self.each(&named, |_, run| Ok(release(run, by)))?,
            Act::Cancel => self.each(&named, |this, run| this.cancel(run, by))?,
            Act::Stop => self.each(&named, |this, run| this.stop_run(run, by))?,
            Act::Prioritize(priority) => {
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
                // A hook has begun it between the look and the deed.
                (Some(run), Outcome::Unchanged) if !self.state.has(change) => {
                    return Err(RequestError::JustStarting { run: run.clone() });
                }
                _ => {}
            }
        }
        for run in &stops {
            changed.insert(run.clone(), Outcome::Changed);
            let wish = StopWish { order: Order::stop(by), not_before: now.uptime };
            self.state.stops.insert(run.experiment.clone(), wish);
            self.unit_changed(run.experiment.clone());
        }
        if matches!(act, Act::Release | Act::Requeue) {
            self.state.back_off.retain(|run, _| named.iter().all(|named| named.run != *run));
        }
        let acted = named.into_iter().map(|QueuedRun { run, .. }| {
            let outcome = changed.get(&run).copied().unwrap_or(Outcome::Unchanged);
            Acted { run, outcome }
        });
        Ok(acted.collect())
    }

    /// The run in the queue that somebody speaks of.
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

    /// Those that wait or are held; an error if one of them does not.
    fn waiting_all<'a>(&self, runs: &'a [QueuedRun]) -> Result<Vec<&'a QueuedRun>, RequestError> {
        runs.iter().map(|run| self.waiting(run)).collect()
    }

    pub(super) fn waiting<'a>(&self, run: &'a QueuedRun) -> Result<&'a QueuedRun, RequestError> {
        match &run.state {
            QueueState::Waiting | QueueState::Held { .. } => Ok(run),
            state @ (QueueState::Starting { .. } | QueueState::Running) => {
                // What another boot has interrupted will wait in a moment.
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
        Ok(Plan { changes: vec![end], stops: self.is_to_be_stopped(run)? })
    }

    fn stop_run(&self, run: &QueuedRun, by: &str) -> Result<Plan, RequestError> {
        let stops = self.is_to_be_stopped(run)?;
        let change = |run: &RunId| Change::Stop { run: run.clone(), by: by.to_owned() };
        Ok(Plan { changes: stops.iter().map(change).collect(), stops })
    }

    /// Puts runs back: before all others of their priority, in the order in which they stand. Those
    /// that are up are put back first and stopped then, which does not end them.
    fn requeue(&self, runs: &[QueuedRun], by: &str) -> Result<Plan, RequestError> {
        let mut plan = Plan::default();
        for run in runs {
            plan.stops.extend(self.is_to_be_stopped(run)?);
            let why = format!("requeued by {by}");
            plan.changes.extend(Plan::state(run, QueueState::Waiting, why).changes);
        }
        let mut ordered: Vec<&QueuedRun> = runs.iter().collect();
        ordered.sort_by(|a, b| a.order().cmp(&b.order()));
        plan.changes.extend(front(&self.state, &ordered, None));
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

    /// The run itself if its unit has to be stopped. One that is on its way up cannot be taken
    /// back: its hook would find no run to begin, and make a new one.
    fn is_to_be_stopped(&self, run: &QueuedRun) -> Result<Vec<RunId>, RequestError> {
        if !self.state.is_up(run) {
            return Ok(Vec::new());
        }
        let experiment = &run.run.experiment;
        let is_under_way = self.state.busy.contains_key(experiment)
            || self.seen.is_on_its_way(experiment)
            || self.unseen.units.contains(experiment);
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

/// What is to be done: first the changes, then the stops.
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

/// The run that a change is about, if somebody who asked for it wants to hear of it.
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
