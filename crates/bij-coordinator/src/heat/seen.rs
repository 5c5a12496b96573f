//! What the ladder is shown.

use bij_core::port::{Unread, ZoneReading};
use bij_core::{Celsius, ExperimentId, Percent, TimeSpan};

/// One look at the machine.
#[derive(Clone, Copy, Debug)]
pub struct HeatSeen<'a> {
    /// When: on a clock that never goes back.
    pub uptime: TimeSpan,
    /// Every thermal zone of the machine.
    pub zones: &'a Result<Vec<ZoneReading>, Unread>,
    /// Every experiment that is up, in any order.
    pub living: &'a [Living],
    /// All processors of the machine: 100 % is one of them.
    pub processors: Percent,
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
    /// processor: its `CPUQuota=`, or all processors. The closer this is to what it really takes, the
    /// sooner a cap bites; too much does no harm.
    pub cpu: Percent,
    /// Whether a bound on its processor time has an effect on this machine; some kernels take
    /// `CPUQuota=` and do nothing.
    pub can_cap: bool,
    /// Whether it can be frozen: the kernel can, and its definition lets it.
    pub can_freeze: bool,
    /// Its own limit: `[thermal] max_celsius`.
    pub max_celsius: Option<Celsius>,
}
