//! What the ladder is shown.

use bij_core::port::{Unread, ZoneReading};
use bij_core::{Celsius, ExperimentId, Hertz, Percent, TimeSpan};

/// One look at the machine.
#[derive(Clone, Copy, Debug)]
pub struct HeatObservation<'a> {
    /// When: on a clock that never goes back.
    pub uptime: TimeSpan,
    /// Every thermal zone of the machine.
    pub zones: &'a Result<Vec<ZoneReading>, Unread>,
    /// Every experiment that is up, in any order.
    pub living: &'a [Living],
    /// All processors of the machine: 100 % is one of them.
    pub processors: Percent,
    /// The GPU's clock; `None` where it cannot, or shall not, be bounded.
    pub gpu: Option<GpuClockState<'a>>,
}

/// The GPU's clock, which is one for all that use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuClockState<'a> {
    /// What it may be bounded to, ascending; the last is what it has when the ladder does not bound it.
    pub rates: &'a [Hertz],
    /// What the ladder has bounded it to, as long as nobody else has set it since.
    pub bound: Option<Hertz>,
}

/// An experiment that is up, and what can be done about its heat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living {
    /// Which.
    pub experiment: ExperimentId,
    /// Whoever has the lowest is held back first.
    pub priority: i32,
    /// Since when it is up; of equals the youngest is held back first.
    pub since: TimeSpan,
    /// The processor time that it takes when nothing but its definition bounds it, 100 % is one
    /// processor: its `CPUQuota=`, or all processors.
    pub cpu: Percent,
    /// The processor time that it has taken so far, if that is known: the closer it is known what it
    /// really takes, the sooner a cap bites.
    pub cpu_time: Option<TimeSpan>,
    /// Whether a bound on its processor time has an effect on this machine; some kernels take
    /// `CPUQuota=` and do nothing.
    pub can_cap: bool,
    /// Whether a bound on the GPU's clock holds it back: it uses the GPU, and that clock can be bounded.
    pub can_cap_gpu: bool,
    /// Whether it can be frozen: the kernel can, and its definition lets it.
    pub can_freeze: bool,
    /// Its own limit: `[thermal] max_celsius`.
    pub max_celsius: Option<Celsius>,
}
