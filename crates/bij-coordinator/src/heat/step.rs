//! What the ladder says is to be done, and why.

use std::fmt;

use bij_core::{Celsius, HeatStep};

/// One step up or down the ladder, and what it is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatMove {
    /// What is to be done.
    pub step: HeatStep,
    /// The reading that asks for it.
    pub because: Because,
}

/// What a step is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// The hottest zone.
    Zone {
        /// Its name.
        zone: String,
        /// How hot it is.
        celsius: Celsius,
        /// How hot it will be soon at this rate; never less than it is.
        soon: Celsius,
    },
    /// It is too hot for an experiment that has a limit of its own.
    TooHotFor {
        /// `[thermal] max_celsius`.
        limit: Celsius,
        /// How hot it is.
        celsius: Celsius,
    },
    /// A zone that was hot cannot be read any more, or none can: what, as a fragment.
    Unreadable(String),
    /// The machine has no thermal zones any more or never had one, and nothing is done for heat.
    NoZones,
}

/// What is less than this above the reading is noise.
const WORTH_TELLING: i32 = 1000;

impl fmt::Display for Because {
    /// A fragment for people: `tj is at 74.1 °C and will soon be at 78.3 °C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone { zone, celsius, soon } => {
                write!(f, "{zone} is at {celsius}")?;
                if soon.millis().saturating_sub(celsius.millis()) >= WORTH_TELLING {
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

/// How high the ladder stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing is done for heat.
    #[default]
    Normal,
    /// Nothing is started.
    Hold,
    /// Experiments are held back besides.
    Throttle,
    /// Everything is stopped.
    Critical,
    /// How hot it is cannot be told: nothing is started, and what is held back stays so. The reason is
    /// a fragment.
    Blind(String),
}

impl Level {
    /// Its name in output and JSON.
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
