//! Decisions of the ladder: what to do, and why.

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

/// One action of heat control. Every action may be repeated without effect.
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
    /// The machine has no thermal zones, so there is no heat control.
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
