//! What a coordinator sees.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::Sample;
use bij_core::queue::{Claim, GoingDown, GroupName, QueuedRun, RunRef};
use bij_core::{
    ActiveState, Cause, ExperimentId, OrderKind, RunId, RunState, TimeSpan, Timestamp, UnitStatus,
};

use super::{GpuUse, PowerSeen, Vitals, Warmth};
use crate::Now;

/// What a coordinator sees.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When.
    pub now: Now,
    /// The service manager cannot be asked: units are as they were last seen, if they ever were.
    pub unreachable: Option<Unreachable>,
    /// What is going down: nothing is started any more.
    pub going_down: BTreeSet<GoingDown>,
    /// The units that are loaded; one that is not here is down.
    pub units: BTreeMap<ExperimentId, UnitStatus>,
    /// The machine.
    pub sample: Sample,
    /// How the heat ladder stands.
    pub warmth: Warmth,
    /// Units that are up without a run in the queue that is.
    pub strays: Vec<Stray>,
    /// What the ledger says of runs in the queue that should be up while their unit is down.
    pub lost: BTreeMap<RunId, Lost>,
    /// Where the runs are that others wait for, unless they are in the queue.
    pub others: BTreeMap<RunRef, Option<RunState>>,
    /// How those that are up do; only when it is time to look.
    pub vitals: BTreeMap<RunId, Vitals>,
    /// What those have of the GPU's memory that may have only so much, as it was last told.
    pub gpu_memory: BTreeMap<ExperimentId, GpuUse>,
    /// The board's power modes.
    pub power: PowerSeen,
}

/// A service manager that cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Since when.
    pub since: Timestamp,
    /// What asking it came to, as a fragment.
    pub why: String,
}

/// A unit that is up without a run in the queue that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Which run it is, as far as is known.
    pub run: RunId,
    /// Whose slots it uses.
    pub group: GroupName,
    /// What it takes, as its definition claims.
    pub claim: Claim,
    /// Its run was put back into the queue or taken out of it while it was up: the stop that
    /// belongs to that has not come through.
    pub unwanted: bool,
}

/// A run that should be up while its unit is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its newest attempt.
    pub last: LastAttempt,
    /// The uptime at which its unit was first seen to be down.
    pub since: TimeSpan,
    /// The order to stop that was in force when it ended, or that its restart was cancelled by.
    pub order: Option<OrderKind>,
    /// So long after its end it may be brought back, as its definition says; `None` if its restarts are
    /// used up, and for those that systemd brings back.
    pub restart_after: Option<TimeSpan>,
}

impl Lost {
    /// Whether it is down because of an order of this kind.
    pub(crate) fn was_stopped_by(&self, kind: OrderKind) -> bool {
        // Who crashes while it is told to leave is not brought back by systemd either.
        self.order == Some(kind) || self.last == LastAttempt::Ended(kind.cause())
    }
}

/// What the ledger knows of a run's newest attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAttempt {
    /// Nobody has recorded its end.
    Open,
    /// It ended so, which was not the end of its run.
    Ended(Cause),
}

impl Observation {
    /// What is seen where there is nothing but the machine.
    pub fn new(now: Now, sample: Sample) -> Self {
        Self {
            now,
            unreachable: None,
            going_down: BTreeSet::new(),
            units: BTreeMap::new(),
            sample,
            warmth: Warmth::default(),
            strays: Vec::new(),
            lost: BTreeMap::new(),
            others: BTreeMap::new(),
            vitals: BTreeMap::new(),
            gpu_memory: BTreeMap::new(),
            power: PowerSeen::default(),
        }
    }

    /// Whether an experiment's unit is up, or its start is being looked at.
    pub fn is_on_its_way(&self, experiment: &ExperimentId) -> bool {
        let unit = self.units.get(experiment);
        unit.is_some_and(|unit| is_up(unit) || unit.sub_state == CONDITION)
    }

    /// Whether processes of an experiment may live: one that waits to be restarted is up, and has none.
    pub(super) fn lives(&self, experiment: &ExperimentId) -> bool {
        let waits = |unit: &UnitStatus| unit.sub_state.starts_with(AUTO_RESTART);
        self.units.get(experiment).is_some_and(|unit| is_up(unit) && !waits(unit))
    }

    /// Whether an experiment's unit is up, on its way there, or on its way down.
    pub fn is_up(&self, experiment: &ExperimentId) -> bool {
        self.units.get(experiment).is_some_and(is_up)
    }

    /// What the ledger says of a run that is down because of an order of this kind, unless somebody
    /// wants it stopped.
    pub(super) fn lost_by(&self, run: &QueuedRun, kind: OrderKind) -> Option<&Lost> {
        let experiment = &run.run.experiment;
        let lost = self.lost.get(&run.run).filter(|lost| lost.was_stopped_by(kind))?;
        let is_down = !self.is_up(experiment) && !self.is_coming_up(experiment);
        (run.stop.is_none() && is_down).then_some(lost)
    }

    /// Whether an experiment's unit is being brought up: a job is about to start it, or it stands at
    /// the gate.
    pub fn is_coming_up(&self, experiment: &ExperimentId) -> bool {
        let unit = self.units.get(experiment);
        unit.is_some_and(|unit| unit.start_due || unit.active_state == ActiveState::Activating)
    }
}

/// `SubState` while conditions are being checked (`ExecCondition=`).
const CONDITION: &str = "condition";

/// `SubState` while a restart is due, in which newer managers tell apart whether it is queued.
const AUTO_RESTART: &str = "auto-restart";

/// Whether a unit is up, on its way there, or on its way down. One whose conditions are being
/// checked is not: it stands at the gate.
fn is_up(unit: &UnitStatus) -> bool {
    match unit.active_state {
        ActiveState::Active
        | ActiveState::Reloading
        | ActiveState::Activating
        | ActiveState::Deactivating
        | ActiveState::Other(_) => unit.sub_state != CONDITION,
        ActiveState::Inactive | ActiveState::Failed => false,
    }
}
