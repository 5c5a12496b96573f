//! The steps of heat control.

use std::fmt;

use crate::{ExperimentId, Hertz, Percent};

/// One step of heat control. Every step may be repeated without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeatStep {
    /// Put new starts on hold.
    Hold,
    /// Allow new starts again.
    Admit,
    /// Limit the processor time of an experiment.
    Cap {
        /// The experiment to limit.
        experiment: ExperimentId,
        /// The limit; 100 % is one processor.
        to: Percent,
    },
    /// Lift the limit of processor time; the limit of the definition is in force again.
    Uncap {
        /// The limited experiment.
        experiment: ExperimentId,
    },
    /// Limit the clock of the GPU, for all its users.
    CapGpu {
        /// The highest clock rate.
        to: Hertz,
    },
    /// Restore the limit of the GPU's clock that was in force before.
    UncapGpu,
    /// Freeze the processes of an experiment.
    Freeze {
        /// The experiment to freeze.
        experiment: ExperimentId,
    },
    /// Thaw the processes of an experiment.
    Thaw {
        /// The frozen experiment.
        experiment: ExperimentId,
    },
    /// Stop an experiment with a checkpoint; its run returns to the front of the queue. A frozen experiment
    /// is stopped without being thawed first.
    Stop {
        /// The experiment to stop.
        experiment: ExperimentId,
        /// How long the stop may take.
        haste: Haste,
    },
}

/// How long a stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Haste {
    /// As long as the definition allows.
    Grace,
    /// Ten seconds, whatever the definition allows: the temperature is critical.
    Critical,
}

impl HeatStep {
    /// Returns the experiment that the step concerns; `None` if it concerns all starts or all GPU users.
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

    /// Returns the name of the step in output and JSON.
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

    /// Returns whether the step undoes an earlier step.
    pub const fn is_lift(&self) -> bool {
        matches!(self, Self::Admit | Self::Uncap { .. } | Self::UncapGpu | Self::Thaw { .. })
    }
}

impl fmt::Display for HeatStep {
    /// Writes a fragment for people: `caps amnesiac_001 at 350%`.
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
