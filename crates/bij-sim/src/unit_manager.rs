//! A model of a service manager, with a clock of its own.
//!
//! It knows what matters to those who use the port: jobs, conditions and hooks, automatic restarts,
//! the start limit, stops that take their time, and what a unit is like between them. Experiments
//! are scripts of lives. Time passes only by [`SimUnits::advance`], and what is due then happens in
//! its order.

mod hook;
mod job;
mod power;
mod script;
mod steer;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Outcome, Percent, TimeSpan, UnitStatus};
use thiserror::Error;

pub use hook::{Hook, HookCall};
use job::{Done, JobEnd, JobId, Jobs};
pub use script::{Ending, Life, LifeEnd, Script};
use unit::{Lift, Unit};

/// What a model can be told to answer instead of doing what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitFault {
    /// Nobody answers, and nobody hears what becomes of jobs that are under way.
    Unreachable,
    /// The caller may not do this.
    Denied,
    /// The machine is going down: what would start something is refused, everything else works.
    GoingDown,
}

/// What becomes of the next start that is asked for over the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFault {
    /// The manager refuses it.
    Refused,
    /// Its job ends by a time-out for who waits, while the unit goes on.
    TimedOut,
}

#[derive(Debug, Error)]
#[error("the model was told to fail")]
struct ToldToFail;

/// A service manager that exists in memory only; clones share one world.
#[derive(Clone, Debug, Default)]
pub struct SimUnits(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    now: u64,
    lives: u64,
    units: BTreeMap<ExperimentId, Unit>,
    enabled: BTreeSet<ExperimentId>,
    fault: Option<UnitFault>,
    start_fault: Option<StartFault>,
    jobs: Jobs,
    signals: Vec<ExperimentId>,
    attended: bool,
}

impl SimUnits {
    /// Defines an experiment, or changes what its next lives are like.
    pub fn define(&self, id: &ExperimentId, script: Script) {
        let mut world = self.world();
        match world.units.get_mut(id) {
            Some(unit) => unit.redefine(script),
            None => {
                world.units.insert(id.clone(), Unit::new(script));
            }
        }
    }

    /// Lets time pass.
    pub fn advance(&self, span: TimeSpan) {
        let mut world = self.world();
        let until = world.now.saturating_add(span.as_micros());
        while let Some((due, id)) = world.next_event().filter(|(due, _)| *due <= until) {
            world.now = due;
            world.with_unit(&id, Unit::happen);
        }
        world.now = until;
    }

    /// Has every call fail from now on, or no longer.
    pub fn set_fault(&self, fault: Option<UnitFault>) {
        let mut world = self.world();
        world.fault = fault;
        if fault == Some(UnitFault::Unreachable) {
            world.jobs.lose_all();
        }
    }

    /// Has the next start fail, or not.
    pub fn fail_next_start(&self, fault: Option<StartFault>) {
        self.world().start_fault = fault;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a job done, unless there is a fault or no such experiment.
    async fn job(
        &self,
        id: &ExperimentId,
        verb: &'static str,
        work: fn(&mut Unit, JobId, &mut Now<'_>),
    ) -> Result<Done, UnitError> {
        let end = {
            let mut world = self.world();
            world.check(&format!("{verb} {id}"))?;
            if verb != "stop" && world.fault == Some(UnitFault::GoingDown) {
                return Err(UnitError::GoingDown(ToldToFail.into()));
            }
            let fault = if verb == "stop" { None } else { world.start_fault.take() };
            if fault == Some(StartFault::Refused) {
                let action = format!("{verb} {id}");
                return Err(UnitError::Refused { action, source: ToldToFail.into() });
            }
            if !world.units.contains_key(id) {
                return Err(UnitError::NotFound(id.clone()));
            }
            let job = world.jobs.new_job();
            if fault == Some(StartFault::TimedOut) {
                world.jobs.end(job, Done::Failed("timeout"));
            }
            world.with_unit(id, |unit, now| work(unit, job, now));
            JobEnd { world: Arc::clone(&self.0), job }
        };
        match end.await {
            Done::Failed(result) => Err(UnitError::Job {
                id: id.clone(),
                verb,
                result: result.to_owned(),
                reason: None,
            }),
            Done::Lost => Err(UnitError::Unreachable(ToldToFail.into())),
            done @ (Done::Started(_) | Done::Stopped(_)) => Ok(done),
        }
    }
}

/// What a unit sees of the world while something happens to it.
struct Now<'a> {
    /// Microseconds since the world began.
    at: u64,
    /// How many lives there were, of all units.
    lives: &'a mut u64,
    jobs: &'a mut Jobs,
}

impl World {
    fn check(&self, action: &str) -> Result<(), UnitError> {
        match self.fault {
            None | Some(UnitFault::GoingDown) => Ok(()),
            Some(UnitFault::Unreachable) => Err(UnitError::Unreachable(ToldToFail.into())),
            Some(UnitFault::Denied) => {
                Err(UnitError::Denied { action: action.to_owned(), source: ToldToFail.into() })
            }
        }
    }

    fn next_event(&self) -> Option<(u64, ExperimentId)> {
        let due = self.units.iter().filter_map(|(id, unit)| Some((unit.due()?, id)));
        due.min().map(|(due, id)| (due, id.clone()))
    }

    fn with_unit<T>(
        &mut self,
        id: &ExperimentId,
        work: impl FnOnce(&mut Unit, &mut Now<'_>) -> T,
    ) -> Option<T> {
        let Self { now, lives, units, jobs, signals, attended, .. } = self;
        let unit = units.get_mut(id)?;
        let mut now = Now { at: *now, lives, jobs };
        let done = work(unit, &mut now);
        if !*attended {
            unit.hooks_leave(&mut now);
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

const fn started(done: Done) -> Started {
    match done {
        Done::Started(started) => started,
        Done::Stopped(_) | Done::Failed(_) | Done::Lost => Started::Up,
    }
}

impl UnitManager for SimUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.job(id, "start", |unit, job, now| unit.start(Some(job), Lift::Yes, now))
            .await
            .map(started)
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        match self.job(id, "stop", |unit, job, now| unit.stop(Some(job), now)).await {
            Ok(done) => {
                // A bound is lifted by who stops it through this port, and by nobody else.
                self.world().with_unit(id, |unit, _| unit.lift());
                Ok(if let Done::Stopped(outcome) = done { outcome } else { Outcome::Changed })
            }
            // What is not there is down already.
            Err(UnitError::NotFound(_)) => Ok(Outcome::Unchanged),
            Err(error) => Err(error),
        }
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        let restarted = self.job(id, "restart", |unit, job, now| {
            unit.stop(None, now);
            unit.start(Some(job), Lift::Yes, now);
        });
        restarted.await.map(started)
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let mut world = self.world();
        world.check(&format!("reset {id}"))?;
        Ok(world.with_unit(id, Unit::reset_failed).unwrap_or(Outcome::Unchanged))
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        let mut world = self.world();
        world.check(&format!("enable {id}"))?;
        let changed = if enabled {
            if !world.units.contains_key(id) {
                return Err(UnitError::NotFound(id.clone()));
            }
            world.enabled.insert(id.clone())
        } else {
            world.enabled.remove(id)
        };
        Ok(if changed { Outcome::Changed } else { Outcome::Unchanged })
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        let world = self.world();
        world.check(&format!("look at {id}"))?;
        Ok(world.status(id))
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        let world = self.world();
        world.check("list experiments")?;
        let loaded = world.units.iter().filter(|(_, unit)| unit.is_loaded());
        Ok(loaded.map(|(id, _)| world.status(id)).collect())
    }

    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        let mut world = self.world();
        let action = format!("{} {id}", if frozen { "freeze" } else { "thaw" });
        world.check(&action)?;
        match world.with_unit(id, |unit, now| unit.set_frozen(frozen, now)) {
            Some(None) => Err(UnitError::Refused { action, source: ToldToFail.into() }),
            outcome => Ok(outcome.flatten().unwrap_or(Outcome::Unchanged)),
        }
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        let mut world = self.world();
        world.check(&format!("bound the processor time of {id}"))?;
        Ok(world.with_unit(id, |unit, _| unit.set_cap(cap)).unwrap_or(Outcome::Unchanged))
    }

    async fn reload(&self) -> Result<(), UnitError> {
        // Definitions are read at every start.
        self.world().check("reload")
    }
}

#[cfg(test)]
mod tests;
