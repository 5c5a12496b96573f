//! What may be done about heat.

use std::fmt;

use crate::{ExperimentId, Hertz, Percent};

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
    /// Bound the GPU's clock, for all that use it.
    CapGpu {
        /// So much.
        to: Hertz,
    },
    /// Lift that bound: what was in force before is so again.
    UncapGpu,
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
    /// Whom it concerns; `None` is all that wait, or all that use the GPU.
    pub fn experiment(&self) -> Option<&ExperimentId> {
        match self {
            Self::Hold | Self::Admit | Self::CapGpu { .. } | Self::UncapGpu => None,
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
            Self::CapGpu { .. } => "cap-gpu",
            Self::UncapGpu => "uncap-gpu",
            Self::Freeze { .. } => "freeze",
            Self::Thaw { .. } => "thaw",
            Self::Stop { .. } => "stop",
        }
    }

    /// Whether it lets something go on that an earlier step kept from it.
    pub const fn is_lift(&self) -> bool {
        matches!(self, Self::Admit | Self::Uncap { .. } | Self::UncapGpu | Self::Thaw { .. })
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
            Self::CapGpu { to } => write!(f, "bounds the GPU's clock to {to}"),
            Self::UncapGpu => f.write_str("lifts the bound of the GPU's clock"),
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
