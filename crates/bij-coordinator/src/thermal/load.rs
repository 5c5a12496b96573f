//! Experiments as thermal control sees them, and the restraints that are possible for them.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::{Celsius, ExperimentId, Percent, TimeSpan, Uptime};

use super::quantity::CpuShare;
use super::restraint::RestraintChange;
use super::settings::ThermalSettings;

/// An experiment that is up, and the restraints that are possible for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThermalLoad {
    /// Id of the experiment.
    pub experiment: ExperimentId,
    /// Priority of its run; the lowest is restrained first.
    pub priority: i32,
    /// Uptime since when it is up; among equal priorities the youngest is restrained first.
    pub since: Uptime,
    /// Processor time that its definition allows, where 100 % is one processor: its `CPUQuota=`, or all
    /// processors.
    pub cpu: Percent,
    /// Processor time used so far, if known. With it a cap can follow the real use, and so takes effect
    /// sooner.
    pub cpu_time: Option<TimeSpan>,
    /// Whether a cap on its processor time has an effect on this machine; some kernels accept `CPUQuota=` and
    /// do nothing.
    pub can_cap: bool,
    /// Whether a cap of the GPU's clock restrains it: it uses the GPU, and the clock can be capped.
    pub can_cap_gpu: bool,
    /// Whether it can be frozen: the kernel supports it, and its definition allows it.
    pub can_freeze: bool,
    /// Its own limit: `[thermal] max_celsius`.
    pub max_celsius: Option<Celsius>,
}

impl ThermalLoad {
    /// Returns the processor time that its definition allows.
    pub(super) fn quota(&self) -> CpuShare {
        self.cpu.into()
    }
}

/// Experiments that are up, with the settings that thermal control needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunningExperiments {
    /// Experiments that are up.
    pub loads: Vec<ThermalLoad>,
    /// Own limits (`[thermal] max_celsius`) of experiments that are up, and of those that wait and were up
    /// before.
    pub limits: BTreeMap<ExperimentId, Celsius>,
    /// First waiting experiment that waits only for the board to cool down.
    pub next: Option<ThermalLoad>,
    /// Whether the settings name one of the thresholds.
    pub thresholds_are_set: bool,
    /// Whether the GPU's clock may be capped, if the settings say so.
    pub cap_gpu: Option<bool>,
    /// Thresholds of thermal control; `None` before the first observation, or if the settings are unusable.
    pub settings: Option<ThermalSettings>,
}

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
            since: Uptime::BOOT,
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
