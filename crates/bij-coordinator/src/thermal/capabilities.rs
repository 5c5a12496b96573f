//! The restraints that a machine supports.

use std::collections::BTreeSet;

use bij_core::{ExperimentId, Percent, TimeSpan};

use super::observation::ThermalLoad;
use super::restraint::RestraintChange;

/// The restraints that a machine supports, except those that have failed.
#[derive(Clone, Debug)]
pub struct ThermalCapabilities {
    processors: Percent,
    can_cap: bool,
    can_freeze: bool,
    /// Experiments that could not be frozen, and are not tried again.
    not_frozen: BTreeSet<ExperimentId>,
}

impl ThermalCapabilities {
    /// Returns the capabilities of a machine with these processors, on which caps of processor time have an effect or
    /// not.
    pub const fn new(processors: Percent, can_cap: bool) -> Self {
        Self { processors, can_cap, can_freeze: true, not_frozen: BTreeSet::new() }
    }

    /// Returns the time of all processors.
    pub const fn processors(&self) -> Percent {
        self.processors
    }

    /// Returns an experiment without the restraints that this machine does not support.
    #[must_use]
    pub fn restrict(&self, load: &ThermalLoad) -> ThermalLoad {
        ThermalLoad {
            cpu: load.cpu.min(self.processors),
            can_cap: load.can_cap && self.can_cap,
            can_freeze: load.can_freeze
                && self.can_freeze
                && !self.not_frozen.contains(&load.experiment),
            ..load.clone()
        }
    }

    /// Returns an experiment of which nothing is known but that it is up; it is restrained first.
    pub fn unknown_experiment(&self, experiment: ExperimentId) -> ThermalLoad {
        ThermalLoad {
            experiment,
            priority: i32::MIN,
            since: TimeSpan::default(),
            cpu: self.processors,
            cpu_time: None,
            can_cap: self.can_cap,
            can_cap_gpu: false,
            can_freeze: false,
            max_celsius: None,
        }
    }

    /// Records a change that has failed, and can never succeed on this machine if the failure is permanent. Returns
    /// whether the machine has lost a capability.
    pub fn record_failure(
        &mut self,
        experiment: &ExperimentId,
        change: RestraintChange,
        is_permanent: bool,
    ) -> bool {
        let was = (self.can_cap, self.can_freeze);
        match change {
            RestraintChange::Freeze => {
                self.can_freeze &= !is_permanent;
                self.not_frozen.insert(experiment.clone());
            }
            RestraintChange::Cap(_) => self.can_cap &= !is_permanent,
            RestraintChange::Uncap | RestraintChange::Thaw | RestraintChange::Stop(_) => {}
        }
        was != (self.can_cap, self.can_freeze)
    }
}
