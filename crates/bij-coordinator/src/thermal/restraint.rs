//! Restraints of experiments: what they are, and how they change.

use std::collections::BTreeMap;
use std::fmt;

use bij_core::{ExperimentId, Hertz, Percent};

/// Restraint of one experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restraint {
    /// Cap of its processor time, where 100 % is one processor; it stays in place while frozen.
    pub cap: Option<Percent>,
    /// Whether its processes run.
    pub activity: Activity,
}

/// Whether an experiment's processes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// They run.
    #[default]
    Running,
    /// They are not scheduled.
    Frozen,
    /// They were told to stop.
    Stopping(StopUrgency),
}

/// How long a stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopUrgency {
    /// As long as the definition allows.
    Graceful,
    /// Ten seconds, whatever the definition allows: the temperature is critical.
    Critical,
}

/// A change of an experiment's restraint. It may be carried out again without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestraintChange {
    /// Limit the processor time; 100 % is one processor.
    Cap(Percent),
    /// Lift the limit of processor time; the limit of the definition is in force again.
    Uncap,
    /// Freeze the processes.
    Freeze,
    /// Thaw the processes.
    Thaw,
    /// Stop with a checkpoint; the run returns to the front of the queue. A frozen experiment is stopped without being
    /// thawed first.
    Stop(StopUrgency),
}

impl Restraint {
    /// Returns whether the experiment is unrestrained.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the experiment was told to stop.
    pub fn is_stopping(&self) -> bool {
        matches!(self.activity, Activity::Stopping(_))
    }

    /// Returns whether this restrains less than `other`, in the cap or in the activity.
    pub(super) fn is_looser_than(self, other: Self) -> bool {
        let share = |cap: Option<Percent>| cap.map_or(u64::MAX, Percent::permyriad);
        self.activity < other.activity || share(self.cap) > share(other.cap)
    }

    /// Changes the restraint as a carried out change does.
    pub fn apply(&mut self, change: RestraintChange) {
        match change {
            RestraintChange::Cap(to) => self.cap = Some(to),
            RestraintChange::Uncap => self.cap = None,
            RestraintChange::Freeze => self.activity = Activity::Frozen,
            RestraintChange::Thaw => self.activity = Activity::Running,
            RestraintChange::Stop(urgency) => self.activity = Activity::Stopping(urgency),
        }
    }

    /// Returns the changes that lift the restraint of an experiment that was not told to stop.
    pub fn lifts(&self) -> impl Iterator<Item = RestraintChange> + use<> {
        let thaw = (self.activity == Activity::Frozen).then_some(RestraintChange::Thaw);
        thaw.into_iter().chain(self.cap.map(|_| RestraintChange::Uncap))
    }
}

impl RestraintChange {
    /// Returns the name of the change in output and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cap(_) => "cap",
            Self::Uncap => "uncap",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Stop(_) => "stop",
        }
    }

    /// Returns whether the change undoes an earlier one.
    pub const fn is_lift(self) -> bool {
        matches!(self, Self::Uncap | Self::Thaw)
    }

    /// Returns the change that undoes this one; `None` if there is nothing to undo, or it cannot be undone.
    pub const fn undo(self) -> Option<Self> {
        match self {
            Self::Cap(_) => Some(Self::Uncap),
            Self::Freeze => Some(Self::Thaw),
            Self::Uncap | Self::Thaw | Self::Stop(_) => None,
        }
    }

    /// Writes the change of this experiment as a fragment for people: `caps amnesiac_001 at 350%`.
    pub(super) fn write(
        self,
        experiment: &ExperimentId,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        match self {
            Self::Cap(to) => write!(f, "caps {experiment} at {to}"),
            Self::Uncap => write!(f, "lifts the cap of {experiment}"),
            Self::Freeze => write!(f, "freezes {experiment}"),
            Self::Thaw => write!(f, "thaws {experiment}"),
            Self::Stop(StopUrgency::Graceful) => write!(f, "stops {experiment} with checkpoint"),
            Self::Stop(StopUrgency::Critical) => {
                write!(f, "stops {experiment} with checkpoint and in haste")
            }
        }
    }
}

/// A set of restraints.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Restraints {
    /// Restraint of each experiment; one without an entry is unrestrained.
    pub(super) each: BTreeMap<ExperimentId, Restraint>,
    /// Limit of the GPU's clock.
    pub(super) gpu: Option<Hertz>,
}

impl Restraints {
    /// Returns whether nothing is restrained.
    pub(super) fn is_empty(&self) -> bool {
        self.gpu.is_none() && self.each.values().all(Restraint::is_empty)
    }

    /// Returns the restraint of an experiment.
    pub(super) fn restraint(&self, experiment: &ExperimentId) -> Restraint {
        self.each.get(experiment).copied().unwrap_or_default()
    }
}
