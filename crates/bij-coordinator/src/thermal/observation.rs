//! Inputs of heat control.

use std::collections::BTreeMap;

use bij_core::port::{Unread, ZoneReading};
use bij_core::{Celsius, ExperimentId, Percent, TimeSpan};

use super::gpu_clock::GpuClockReading;
use super::quantity::CpuShare;
use super::settings::ThermalSettings;

/// An observation of the machine's temperatures and experiments.
#[derive(Clone, Copy, Debug)]
pub struct ThermalObservation<'a> {
    /// Time of the observation, on a clock that never goes back.
    pub uptime: TimeSpan,
    /// Readings of all thermal zones.
    pub zones: &'a Result<Vec<ZoneReading>, Unread>,
    /// Experiments that are up, in any order.
    pub loads: &'a [ThermalLoad],
    /// Processors of the machine; 100 % is one processor.
    pub processors: Percent,
    /// The GPU's clock; `None` if it cannot or must not be capped.
    pub gpu: Option<GpuClockReading<'a>>,
}

/// An experiment that is up, and the restraints that are possible for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThermalLoad {
    /// Id of the experiment.
    pub experiment: ExperimentId,
    /// Priority of its run; the lowest is restrained first.
    pub priority: i32,
    /// Uptime since when it is up; among equal priorities the youngest is restrained first.
    pub since: TimeSpan,
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

/// Experiments that are up, with the settings that heat control needs.
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
    /// Thresholds of heat control; `None` before the first observation, or if the settings are unusable.
    pub settings: Option<ThermalSettings>,
}
