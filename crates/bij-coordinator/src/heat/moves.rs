//! Moves of the ladder, their reasons, and its levels.

use std::fmt;

use bij_core::{Celsius, HeatStep};

/// A step of the ladder and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatMove {
    /// Step to carry out.
    pub step: HeatStep,
    /// Reading that requires it.
    pub because: Because,
}

/// Reason of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
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

/// Smallest rise that is shown, in thousandths of a degree; less is noise.
const SHOWN_RISE: i32 = 1000;

impl fmt::Display for Because {
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
pub enum Level {
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

impl Level {
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
