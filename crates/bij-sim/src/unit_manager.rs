//! A model of a service manager, with a clock of its own.
//!
//! It models what users of the port can observe: jobs, conditions and hooks, automatic restarts,
//! the start limit, stops that take time, and the states between them. Experiments follow a
//! [`Script`]. Time passes only by [`SimUnits::advance`], which processes due events in order.

mod job;
mod power;
mod restraints;
mod script;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{Started, UnitError, UnitManager, UnitRestrainer};
use bij_core::{ExperimentId, InvocationId, MonotonicTime, Outcome, Percent, TimeSpan, UnitStatus};
use thiserror::Error;

use job::{JobEnd, JobId, JobResult, Jobs};
use unit::{StartLimitReset, Unit};

pub use script::{Script, ScriptedAttempt, ScriptedEnd, SimEnding};

/// A failure of the model instead of the requested action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitFault {
    /// The manager does not answer, and the ends of running jobs are lost.
    Unreachable,
    /// The caller is not permitted to do this.
    Denied,
    /// The machine is shutting down: starts are refused, all else works.
    GoingDown,
}

/// A failure of the next start over the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFault {
    /// The manager refuses it.
    Refused,
    /// The job times out for its caller, while the unit continues.
    TimedOut,
}

#[derive(Debug, Error)]
#[error("injected fault")]
struct InjectedFault;

/// A simulated service manager; clones share one state.
#[derive(Clone, Debug, Default)]
pub struct SimUnits(Arc<Mutex<SimUnitsState>>);

#[derive(Debug, Default)]
struct SimUnitsState {
    now: MonotonicTime,
    invocations: u64,
    units: BTreeMap<ExperimentId, Unit>,
    enabled: BTreeSet<ExperimentId>,
    fault: Option<UnitFault>,
    start_fault: Option<StartFault>,
    jobs: Jobs,
    signals: Vec<ExperimentId>,
    attended: bool,
}

impl SimUnits {
    /// Defines an experiment, or changes the script of its next attempts.
    pub fn define(&self, id: &ExperimentId, script: Script) {
        let mut state = self.state();
        match state.units.get_mut(id) {
            Some(unit) => unit.redefine(script),
            None => {
                state.units.insert(id.clone(), Unit::new(script));
            }
        }
    }

    /// Advances the time and processes the events that become due.
    pub fn advance(&self, span: TimeSpan) {
        let mut state = self.state();
        let until = state.now + span;
        while let Some((due, id)) = state.next_event().filter(|(due, _)| *due <= until) {
            state.now = due;
            state.with_unit(&id, Unit::process_due);
        }
        state.now = until;
    }

    /// Sets the failure of every following call, or removes it.
    pub fn set_fault(&self, fault: Option<UnitFault>) {
        let mut state = self.state();
        state.fault = fault;
        if fault == Some(UnitFault::Unreachable) {
            state.jobs.lose_all();
        }
    }

    /// Sets the failure of the next start, or removes it.
    pub fn fail_next_start(&self, fault: Option<StartFault>) {
        self.state().start_fault = fault;
    }

    fn state(&self) -> MutexGuard<'_, SimUnitsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a job and waits for its end. Fails if a fault is set or the experiment is unknown.
    async fn job(
        &self,
        id: &ExperimentId,
        verb: &'static str,
        work: fn(&mut Unit, JobId, &mut UnitContext<'_>),
    ) -> Result<JobResult, UnitError> {
        let end = {
            let mut state = self.state();
            state.check(&format!("{verb} {id}"))?;
            if verb != "stop" && state.fault == Some(UnitFault::GoingDown) {
                return Err(UnitError::GoingDown(InjectedFault.into()));
            }
            let fault = if verb == "stop" { None } else { state.start_fault.take() };
            if fault == Some(StartFault::Refused) {
                let action = format!("{verb} {id}");
                return Err(UnitError::Refused { action, source: InjectedFault.into() });
            }
            if !state.units.contains_key(id) {
                return Err(UnitError::NotFound(id.clone()));
            }
            let job = state.jobs.new_job();
            if fault == Some(StartFault::TimedOut) {
                state.jobs.end(job, JobResult::Failed("timeout"));
            }
            state.with_unit(id, |unit, context| work(unit, job, context));
            JobEnd { state: Arc::clone(&self.0), job }
        };
        match end.await {
            JobResult::Failed(result) => Err(UnitError::Job {
                id: id.clone(),
                verb,
                result: result.to_owned(),
                reason: None,
            }),
            JobResult::Lost => Err(UnitError::Unreachable(InjectedFault.into())),
            done @ (JobResult::Started(_) | JobResult::Stopped(_)) => Ok(done),
        }
    }
}

/// What a unit can change outside itself while it handles an event.
struct UnitContext<'a> {
    /// Microseconds since the simulation began.
    at: MonotonicTime,
    /// Number of invocations so far, of all units.
    invocations: &'a mut u64,
    jobs: &'a mut Jobs,
}

impl SimUnitsState {
    fn check(&self, action: &str) -> Result<(), UnitError> {
        match self.fault {
            None | Some(UnitFault::GoingDown) => Ok(()),
            Some(UnitFault::Unreachable) => Err(UnitError::Unreachable(InjectedFault.into())),
            Some(UnitFault::Denied) => {
                Err(UnitError::Denied { action: action.to_owned(), source: InjectedFault.into() })
            }
        }
    }

    fn next_event(&self) -> Option<(MonotonicTime, ExperimentId)> {
        let due = self.units.iter().filter_map(|(id, unit)| Some((unit.due()?, id)));
        due.min().map(|(due, id)| (due, id.clone()))
    }

    fn with_unit<T>(
        &mut self,
        id: &ExperimentId,
        work: impl FnOnce(&mut Unit, &mut UnitContext<'_>) -> T,
    ) -> Option<T> {
        let Self { now, invocations, units, jobs, signals, attended, .. } = self;
        let unit = units.get_mut(id)?;
        let mut context = UnitContext { at: *now, invocations, jobs };
        let done = work(unit, &mut context);
        if !*attended {
            unit.exit_hooks(&mut context);
        }
        if std::mem::take(&mut unit.changed) && *attended {
            signals.push(id.clone());
        }
        Some(done)
    }

    fn status(&self, id: &ExperimentId) -> UnitStatus {
        let enabled = self.enabled.contains(id);
        match self.units.get(id) {
            Some(unit) => unit.status(id, enabled),
            None => Unit::new(Script::default()).status(id, enabled),
        }
    }
}

const fn started(done: JobResult) -> Started {
    match done {
        JobResult::Started(started) => started,
        JobResult::Stopped(_) | JobResult::Failed(_) | JobResult::Lost => Started::Up,
    }
}

impl UnitManager for SimUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.job(id, "start", |unit, job, context| {
            unit.start(Some(job), StartLimitReset::Yes, context);
        })
        .await
        .map(started)
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        match self.job(id, "stop", |unit, job, context| unit.stop(Some(job), context)).await {
            Ok(done) => {
                // As the port requires, a stop removes the cap.
                self.state().with_unit(id, |unit, _| unit.remove_cap());
                Ok(if let JobResult::Stopped(outcome) = done { outcome } else { Outcome::Changed })
            }
            // An unknown unit is down already.
            Err(UnitError::NotFound(_)) => Ok(Outcome::Unchanged),
            Err(error) => Err(error),
        }
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        let restarted = self.job(id, "restart", |unit, job, context| {
            unit.stop(None, context);
            unit.start(Some(job), StartLimitReset::Yes, context);
        });
        restarted.await.map(started)
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let mut state = self.state();
        state.check(&format!("reset {id}"))?;
        Ok(state.with_unit(id, Unit::reset_failed).unwrap_or(Outcome::Unchanged))
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        let mut state = self.state();
        state.check(&format!("enable {id}"))?;
        let changed = if enabled {
            if !state.units.contains_key(id) {
                return Err(UnitError::NotFound(id.clone()));
            }
            state.enabled.insert(id.clone())
        } else {
            state.enabled.remove(id)
        };
        Ok(if changed { Outcome::Changed } else { Outcome::Unchanged })
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        let state = self.state();
        state.check(&format!("look at {id}"))?;
        Ok(state.status(id))
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        let state = self.state();
        state.check("list experiments")?;
        let loaded = state.units.iter().filter(|(_, unit)| unit.is_loaded());
        // What takes a call for each unit is not listed.
        let row = |mut status: UnitStatus| {
            status.result = None;
            status.main_pid = None;
            status.since = None;
            status.restarts = None;
            status.status_text = None;
            status
        };
        Ok(loaded.map(|(id, _)| row(state.status(id))).collect())
    }
}

impl UnitRestrainer for SimUnits {
    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        let mut state = self.state();
        let action = format!("{} {id}", if frozen { "freeze" } else { "thaw" });
        state.check(&action)?;
        match state.with_unit(id, |unit, context| unit.set_frozen(frozen, context)) {
            Some(None) => Err(UnitError::Refused { action, source: InjectedFault.into() }),
            outcome => Ok(outcome.flatten().unwrap_or(Outcome::Unchanged)),
        }
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        let mut state = self.state();
        state.check(&format!("bound the processor time of {id}"))?;
        Ok(state.with_unit(id, |unit, _| unit.set_cap(cap)).unwrap_or(Outcome::Unchanged))
    }
}

/// A running hook. Its unit waits until it exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimHookCall {
    /// The experiment of the unit.
    pub id: ExperimentId,
    /// The invocation of the unit that the hook belongs to.
    pub invocation: InvocationId,
    /// Which of the unit's hooks runs.
    pub hook: Hook,
    /// Automatic restarts since the last manual start (`NRestarts`).
    pub restarts: u32,
}

/// A hook of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `ExecCondition=bij-hook start` asks for admission.
    Admit,
    /// The same process was admitted and opens the attempt.
    Begin,
    /// `ExecStopPost=bij-hook end`, with the ending of the attempt.
    End(SimEnding),
}

impl SimUnits {
    /// Returns the same manager with hooks that run until [`SimUnits::leave`]. Without this, hooks
    /// exit at once.
    #[must_use]
    pub fn attended(self) -> Self {
        self.state().attended = true;
        self
    }

    /// Returns the running hooks, ordered by experiment.
    pub fn hooks(&self) -> Vec<SimHookCall> {
        let state = self.state();
        let calls = state.units.iter().filter_map(|(id, unit)| unit.hook_call(id));
        calls.collect()
    }

    /// Has a hook exit, with code 0 if it succeeded. A hook that runs no more is ignored.
    pub fn leave(&self, call: &SimHookCall, succeeded: bool) {
        let mut state = self.state();
        if state.units.get(&call.id).and_then(|unit| unit.hook_call(&call.id)).as_ref()
            == Some(call)
        {
            state.with_unit(&call.id, |unit, context| unit.hook_exited(succeeded, context));
        }
    }
}

#[cfg(test)]
mod tests;
