//! Observations of heat control.

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, ExperimentId, Hertz, Percent, TimeSpan};

/// An observation of the machine's temperatures and experiments.
#[derive(Clone, Copy, Debug)]
pub struct HeatObservation<'a> {
    /// Time of the observation, on a clock that never goes back.
    pub uptime: TimeSpan,
    /// Readings of all thermal zones.
    pub zones: &'a Result<Vec<ZoneReading>, BoardReadError>,
    /// Experiments that are up, in any order.
    pub living: &'a [Living],
    /// Processors of the machine; 100 % is one processor.
    pub processors: Percent,
    /// The GPU's clock; `None` if it cannot or must not be capped.
    pub gpu: Option<GpuClockState<'a>>,
}

/// State of the GPU's clock, which all experiments share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuClockState<'a> {
    /// Rates that it can be capped to, ascending; the last is the rate without a cap.
    pub rates: &'a [Hertz],
    /// Cap set by the ladder, unless another program has changed it since.
    pub bound: Option<Hertz>,
}

/// An experiment that is up, and the restraints that are possible for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living {
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
