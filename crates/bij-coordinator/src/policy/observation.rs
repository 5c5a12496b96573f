//! Observations on which a decision is based.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::{Closing, Sample};
use bij_core::queue::{Claim, GoingDown, GroupName, QueuedRun, RunRef, Terms};
use bij_core::{
    ActiveState, Cause, ExperimentId, OrderKind, RunId, RunState, SubState, TimeSpan, Timestamp,
    UnitStatus, Uptime,
};

use super::{GpuUse, PowerModeStatus, Vitals};
use crate::Now;
use crate::thermal::ThermalStatus;

/// State of the units and of the machine, read before a decision.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Time of the observation.
    pub now: Now,
    /// Set while the service manager is unreachable; `units` are then as last observed, or empty.
    pub unreachable: Option<Unreachable>,
    /// Shutdowns under way; nothing is started while there is one.
    pub going_down: BTreeSet<GoingDown>,
    /// Loaded units; a unit without an entry is down.
    pub units: BTreeMap<ExperimentId, UnitStatus>,
    /// Memory of the machine.
    pub sample: Sample,
    /// Status of thermal control.
    pub thermal: ThermalStatus,
    /// Units that are up although no queued run of their experiment is.
    pub untracked_units: Vec<UntrackedUnit>,
    /// Runs that should be up while their unit is down, with what the ledger knows of them.
    pub missing_units: BTreeMap<RunId, MissingUnit>,
    /// Ends of attempts whose unit is down and whose end is not recorded, each with its run.
    pub unclosed: Vec<(RunId, Closing)>,
    /// Terms by the definition of runs that are up and were started without a submission; default without a
    /// usable definition.
    pub definition_terms: BTreeMap<RunId, Terms>,
    /// States of the runs that other runs depend on, for those that are not in the queue.
    pub others: BTreeMap<RunRef, Option<RunState>>,
    /// Measurements of the runs that are up; empty unless a health check is due.
    pub vitals: BTreeMap<RunId, Vitals>,
    /// Last reported use of the GPU's memory by experiments that have a limit of it.
    pub gpu_memory: BTreeMap<ExperimentId, GpuUse>,
    /// Power modes of the board.
    pub power: PowerModeStatus,
}

/// An unreachable service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Time of the first failure.
    pub since: Timestamp,
    /// Error of the last request, as a fragment.
    pub why: String,
}

/// A unit that is up although no queued run of its experiment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrackedUnit {
    /// Run that it belongs to, as far as the ledger knows.
    pub run: RunId,
    /// Group whose slots it uses.
    pub group: GroupName,
    /// Capacity that it uses, as its definition claims.
    pub claim: Claim,
    /// Its run was requeued or cancelled while it was up, and the stop for that has not been carried out:
    /// it is to be stopped.
    pub unwanted: bool,
}

/// A run that should be up while its unit is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingUnit {
    /// State of its newest attempt.
    pub last: LastAttempt,
    /// Uptime at which its unit was first observed to be down.
    pub since: Uptime,
    /// Order to stop that was in force when the attempt ended, or that cancelled the restart.
    pub order: Option<OrderKind>,
    /// Delay after its end until the coordinator restarts it; `None` if its restarts are used up, or if
    /// systemd restarts it.
    pub restart_after: Option<TimeSpan>,
}

impl MissingUnit {
    /// Returns whether it is down because of an order of this kind.
    pub(crate) fn was_stopped_by(&self, kind: OrderKind) -> bool {
        // systemd does not restart a unit either that crashes while it is being stopped.
        self.order == Some(kind) || self.last == LastAttempt::Ended(kind.cause())
    }
}

/// State of a run's newest attempt, according to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAttempt {
    /// Its end is not recorded.
    Open,
    /// It ended with this cause, which did not end its run.
    Ended(Cause),
}

impl Observation {
    /// Returns an observation of a machine without units.
    pub fn new(now: Now, sample: Sample) -> Self {
        Self {
            now,
            unreachable: None,
            going_down: BTreeSet::new(),
            units: BTreeMap::new(),
            sample,
            thermal: ThermalStatus::default(),
            untracked_units: Vec::new(),
            missing_units: BTreeMap::new(),
            unclosed: Vec::new(),
            definition_terms: BTreeMap::new(),
            others: BTreeMap::new(),
            vitals: BTreeMap::new(),
            gpu_memory: BTreeMap::new(),
            power: PowerModeStatus::default(),
        }
    }

    /// Returns whether an experiment's unit is up, or its start conditions are being checked.
    pub fn is_on_its_way(&self, experiment: &ExperimentId) -> bool {
        let unit = self.units.get(experiment);
        unit.is_some_and(|unit| is_up(unit) || unit.sub_state == SubState::Condition)
    }

    /// Returns whether an experiment can have processes; a unit that waits for its restart is up without any.
    pub(super) fn has_processes(&self, experiment: &ExperimentId) -> bool {
        let waits = |unit: &UnitStatus| unit.sub_state.is_waiting_for_restart();
        self.units.get(experiment).is_some_and(|unit| is_up(unit) && !waits(unit))
    }

    /// Returns whether an experiment's unit is up, on its way up, or on its way down.
    pub fn is_up(&self, experiment: &ExperimentId) -> bool {
        self.units.get(experiment).is_some_and(is_up)
    }

    /// Returns the entry of a run whose unit is down because of an order of this kind, unless a stop of the run
    /// was requested.
    pub(super) fn missing_by(&self, run: &QueuedRun, kind: OrderKind) -> Option<&MissingUnit> {
        let experiment = &run.run.experiment;
        let missing =
            self.missing_units.get(&run.run).filter(|missing| missing.was_stopped_by(kind))?;
        let is_down = !self.is_up(experiment) && !self.is_coming_up(experiment);
        let is_down = is_down && !self.is_being_closed(&run.run);
        (run.stop.is_none() && is_down).then_some(missing)
    }

    /// Returns whether the end of a run's attempt is about to be recorded; what follows is decided after that.
    pub(super) fn is_being_closed(&self, run: &RunId) -> bool {
        self.unclosed.iter().any(|(closed, _)| closed == run)
    }

    /// Returns whether an experiment's unit is on its way up: it has a start job, or its start conditions are
    /// being checked.
    pub fn is_coming_up(&self, experiment: &ExperimentId) -> bool {
        let unit = self.units.get(experiment);
        unit.is_some_and(|unit| unit.start_due || unit.active_state == ActiveState::Activating)
    }
}

/// Returns whether a unit is up, on its way up, or on its way down. A unit whose start conditions are being
/// checked is not up yet.
fn is_up(unit: &UnitStatus) -> bool {
    match unit.active_state {
        ActiveState::Active
        | ActiveState::Reloading
        | ActiveState::Activating
        | ActiveState::Deactivating
        | ActiveState::Other(_) => unit.sub_state != SubState::Condition,
        ActiveState::Inactive | ActiveState::Failed => false,
    }
}
