//! Decisions of the ladder: what to do, why, and the status that results.

use std::collections::BTreeMap;
use std::fmt;

use bij_core::{Celsius, ExperimentId, Hertz};

use super::restraint::RestraintChange;

/// An action of the ladder and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThermalDecision {
    /// Action to carry out.
    pub action: ThermalAction,
    /// Reading that requires it.
    pub reason: ThermalReason,
}

/// One action of thermal control. Every action may be repeated without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThermalAction {
    /// Put new starts on hold.
    Hold,
    /// Allow new starts again.
    Admit,
    /// Limit the clock of the GPU, for all its users.
    CapGpu {
        /// The highest clock rate.
        to: Hertz,
    },
    /// Restore the limit of the GPU's clock that was in force before.
    UncapGpu,
    /// Change the restraint of an experiment.
    Restrain {
        /// The experiment that is restrained.
        experiment: ExperimentId,
        /// The change of its restraint.
        change: RestraintChange,
    },
}

/// Reason of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThermalReason {
    /// Temperature of the hottest zone.
    Zone {
        /// Name of the zone.
        zone: String,
        /// Current temperature.
        celsius: Celsius,
        /// Expected temperature at the present slope; never less than the current one.
        soon: Celsius,
    },
    /// Own limit of an experiment.
    TooHotFor {
        /// `[thermal] max_celsius`.
        limit: Celsius,
        /// Current temperature.
        celsius: Celsius,
    },
    /// A zone that was hot has become unreadable, or all zones are, as a fragment.
    Unreadable(String),
    /// The machine has no thermal zones, so there is no thermal control.
    NoZones,
}

impl ThermalAction {
    /// Returns the action that changes the restraint of this experiment.
    pub fn restrain(experiment: &ExperimentId, change: RestraintChange) -> Self {
        Self::Restrain { experiment: experiment.clone(), change }
    }

    /// Returns the experiment that the action concerns; `None` if it concerns all starts or all GPU users.
    pub fn experiment(&self) -> Option<&ExperimentId> {
        match self {
            Self::Hold | Self::Admit | Self::CapGpu { .. } | Self::UncapGpu => None,
            Self::Restrain { experiment, .. } => Some(experiment),
        }
    }

    /// Returns the name of the action in output and JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Admit => "admit",
            Self::CapGpu { .. } => "cap-gpu",
            Self::UncapGpu => "uncap-gpu",
            Self::Restrain { change, .. } => change.name(),
        }
    }

    /// Returns whether the action undoes an earlier one.
    pub const fn is_lift(&self) -> bool {
        match self {
            Self::Admit | Self::UncapGpu => true,
            Self::Hold | Self::CapGpu { .. } => false,
            Self::Restrain { change, .. } => change.is_lift(),
        }
    }
}

impl fmt::Display for ThermalAction {
    /// Writes a fragment for people: `caps amnesiac_001 at 350%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("starts nothing any more"),
            Self::Admit => f.write_str("starts again what may be started"),
            Self::CapGpu { to } => write!(f, "bounds the GPU's clock to {to}"),
            Self::UncapGpu => f.write_str("lifts the bound of the GPU's clock"),
            Self::Restrain { experiment, change } => change.write(experiment, f),
        }
    }
}

impl ThermalReason {
    /// Returns the temperature that the reason names, if it names one.
    pub const fn celsius(&self) -> Option<Celsius> {
        match self {
            Self::Zone { celsius, .. } | Self::TooHotFor { celsius, .. } => Some(*celsius),
            Self::Unreadable(_) | Self::NoZones => None,
        }
    }
}

/// Smallest rise that is shown, in thousandths of a degree; less is noise.
const SHOWN_RISE: i32 = 1000;

impl fmt::Display for ThermalReason {
    /// Writes a fragment for people: `tj is at 74.1 °C and will soon be at 78.3 °C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone { zone, celsius, soon } => {
                write!(f, "{zone} is at {celsius}")?;
                if soon.millis().saturating_sub(celsius.millis()) >= SHOWN_RISE {
                    write!(f, " and will soon be at {soon}")?;
                }
                Ok(())
            }
            Self::TooHotFor { limit, celsius } => {
                write!(f, "it is at {celsius}, too near to its own limit of {limit}")
            }
            Self::Unreadable(what) => f.write_str(what),
            Self::NoZones => f.write_str("there is no thermal zone"),
        }
    }
}

/// Level of the ladder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ThermalLevel {
    /// Nothing is restrained.
    #[default]
    Normal,
    /// New starts are on hold.
    Hold,
    /// Starts are on hold, and experiments are restrained.
    Throttle,
    /// All experiments are stopped.
    Critical,
    /// The temperature is unknown: starts are on hold, and restraints stay as they are. The reason is a
    /// fragment.
    Blind(String),
}

impl ThermalLevel {
    /// Returns its name in output and JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Hold => "hold",
            Self::Throttle => "throttle",
            Self::Critical => "critical",
            Self::Blind(_) => "blind",
        }
    }
}

/// Status of thermal control.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThermalStatus {
    /// Level of the ladder.
    pub level: ThermalLevel,
    /// Reason why starts are on hold, if they are.
    pub held: Option<ThermalReason>,
    /// Experiment that may start although starts are on hold, because it replaces one that has ended.
    pub replacement: Option<ExperimentId>,
    /// Experiments that may not start because of their own limit (`[thermal] max_celsius`).
    pub too_hot_for: BTreeMap<ExperimentId, ThermalReason>,
}

/// Smallest difference of temperatures that makes a status new, in thousandths of a degree.
const NOTABLE_DIFFERENCE: u32 = 1000;

impl ThermalStatus {
    /// Returns whether this tells more than an earlier status: a tenth of a degree makes no difference.
    pub fn differs_notably(&self, earlier: &Self) -> bool {
        self.level != earlier.level
            || self.replacement != earlier.replacement
            || !self.too_hot_for.keys().eq(earlier.too_hot_for.keys())
            || match (&self.held, &earlier.held) {
                (None, None) => false,
                (Some(now), Some(earlier)) => is_notably_different(now, earlier),
                (None, Some(_)) | (Some(_), None) => true,
            }
    }
}

fn is_notably_different(now: &ThermalReason, earlier: &ThermalReason) -> bool {
    match (now, earlier) {
        (
            ThermalReason::Zone { celsius: now, .. },
            ThermalReason::Zone { celsius: earlier, .. },
        ) => now.millis().abs_diff(earlier.millis()) >= NOTABLE_DIFFERENCE,
        (now, earlier) => now != earlier,
    }
}
