//! Status of heat control, as the queue's gates and its users need it.

use std::collections::BTreeMap;

use bij_core::ExperimentId;

use super::action::ThermalReason;

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

/// Status of heat control.
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
