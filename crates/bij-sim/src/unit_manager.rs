//! A model of a service manager, with a clock of its own.
//!
//! It knows what matters to those who use the port: jobs, conditions, automatic restarts, the
//! start limit, and what a unit is like between them. Experiments are scripts of lives. Time
//! passes only by [`SimUnits::advance`], and what is due then happens in its order.

mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Outcome, TimeSpan, UnitStatus};
use thiserror::Error;

use unit::Unit;
pub use unit::{Life, LifeEnd, Script};

/// What a model can be told to answer instead of doing what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitFault {
    /// Nobody answers.
    Unreachable,
    /// The caller may not do this.
    Denied,
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
        self.world().fault = fault;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is asked, unless there is a fault or no such experiment.
    fn order<T>(
        &self,
        id: &ExperimentId,
        verb: &'static str,
        work: impl FnOnce(&mut Unit, &mut Now<'_>) -> Result<T, String>,
    ) -> Result<T, UnitError> {
        let mut world = self.world();
        world.check(&format!("{verb} {id}"))?;
        let done = world.with_unit(id, work);
        done.ok_or_else(|| UnitError::NotFound(id.clone()))?.map_err(|result| UnitError::Job {
            id: id.clone(),
            verb,
            result,
        })
    }
}

/// What a unit sees of the world while something happens to it.
pub(crate) struct Now<'a> {
    /// Microseconds since the world began.
    at: u64,
    /// How many lives there were, of all units.
    lives: &'a mut u64,
}

impl World {
    fn check(&self, action: &str) -> Result<(), UnitError> {
        match self.fault {
            None => Ok(()),
            Some(UnitFault::Unreachable) => Err(UnitError::Unreachable(ToldToFail.into())),
            Some(UnitFault::Denied) => {
                Err(UnitError::Denied { action: action.to_owned(), source: ToldToFail.into() })
            }
        }
    }

    fn next_event(&self) -> Option<(u64, ExperimentId)> {
        self.units.iter().filter_map(|(id, unit)| Some((unit.due()?, id.clone()))).min()
    }

    fn with_unit<T>(
        &mut self,
        id: &ExperimentId,
        work: impl FnOnce(&mut Unit, &mut Now<'_>) -> T,
    ) -> Option<T> {
        let mut now = Now { at: self.now, lives: &mut self.lives };
        self.units.get_mut(id).map(|unit| work(unit, &mut now))
    }

    fn status(&self, id: &ExperimentId) -> UnitStatus {
        let enabled = self.enabled.contains(id);
        match self.units.get(id) {
            Some(unit) => unit.status(id, enabled),
            None => Unit::new(Script::default()).status(id, enabled),
        }
    }
}

impl UnitManager for SimUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.order(id, "start", Unit::start)
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let mut world = self.world();
        world.check(&format!("stop {id}"))?;
        // What is not there is down already.
        Ok(world.with_unit(id, Unit::stop).unwrap_or(Outcome::Unchanged))
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.order(id, "restart", |unit, now| {
            unit.stop(now);
            unit.start(now)
        })
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

    async fn reload(&self) -> Result<(), UnitError> {
        // Definitions are read at every start.
        self.world().check("reload")
    }
}

#[cfg(test)]
mod tests;
