//! What the ladder says is to be done.

use std::fmt;

use bij_core::{Celsius, ExperimentId, Percent};

/// One step up or down the ladder, and what it is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatMove {
    /// What is to be done.
    pub step: HeatStep,
    /// The reading that asks for it.
    pub because: Because,
}

/// What is to be done; doing it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeatStep {
    /// Start nothing any more.
    Hold,
    /// Start again what may be started.
    Admit,
    /// Bound the experiment's processor time, 100 % is one processor.
    Cap {
        /// Whose.
        experiment: ExperimentId,
        /// So much.
        to: Percent,
    },
    /// Lift the bound: its definition's own is in force again.
    Uncap {
        /// Whose.
        experiment: ExperimentId,
    },
    /// Stop its processes from being scheduled.
    Freeze {
        /// Whose.
        experiment: ExperimentId,
    },
    /// Let them go on.
    Thaw {
        /// Whose.
        experiment: ExperimentId,
    },
    /// Have it write a checkpoint and leave; its run goes back to the front of the queue. A frozen one
    /// is not thawed before.
    Stop {
        /// Which.
        experiment: ExperimentId,
        /// How long it may take.
        haste: Haste,
    },
}

/// How long a stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Haste {
    /// As long as its definition says.
    Grace,
    /// It is critical: all are gone within ten seconds, whatever their definitions say.
    Critical,
}

impl HeatStep {
    /// Whom it concerns; `None` is all that wait.
    pub fn experiment(&self) -> Option<&ExperimentId> {
        match self {
            Self::Hold | Self::Admit => None,
            Self::Cap { experiment, .. }
            | Self::Uncap { experiment }
            | Self::Freeze { experiment }
            | Self::Thaw { experiment }
            | Self::Stop { experiment, .. } => Some(experiment),
        }
    }

    /// Its name in output and JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Admit => "admit",
            Self::Cap { .. } => "cap",
            Self::Uncap { .. } => "uncap",
            Self::Freeze { .. } => "freeze",
            Self::Thaw { .. } => "thaw",
            Self::Stop { .. } => "stop",
        }
    }

    /// Whether it lets something go on that an earlier step kept from it.
    pub const fn is_lift(&self) -> bool {
        matches!(self, Self::Admit | Self::Uncap { .. } | Self::Thaw { .. })
    }
}

impl fmt::Display for HeatStep {
    /// A fragment for people: `caps amnesiac_001 at 350%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("starts nothing any more"),
            Self::Admit => f.write_str("starts again what may be started"),
            Self::Cap { experiment, to } => write!(f, "caps {experiment} at {to}"),
            Self::Uncap { experiment } => write!(f, "lifts the cap of {experiment}"),
            Self::Freeze { experiment } => write!(f, "freezes {experiment}"),
            Self::Thaw { experiment } => write!(f, "thaws {experiment}"),
            Self::Stop { experiment, haste: Haste::Grace } => {
                write!(f, "stops {experiment} with checkpoint")
            }
            Self::Stop { experiment, haste: Haste::Critical } => {
                write!(f, "stops {experiment} with checkpoint and in haste")
            }
        }
    }
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
    Lost(String),
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
            Self::Lost(what) => f.write_str(what),
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
