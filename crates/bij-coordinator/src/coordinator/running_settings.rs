//! Settings from the definitions of running experiments, as the files are now: an edit applies to a running
//! experiment as well.

use bij_core::port::DefinitionSource;
use bij_core::{
    Celsius, CpuQuota, ExperimentId, InvocationId, Limit, MemoryLimit, Percent, TimeSpan,
};

use super::Coordinator;
use crate::Ports;
use crate::thermal::ThermalLoad;

/// More than any machine's processors.
const UNBOUNDED: Percent = Percent::new(100 * 4096);
/// Interval at which definitions are checked for changes, in microseconds.
const CHECK_INTERVAL: u64 = 1_000_000;

/// Settings of a running experiment that heat and GPU memory control need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunningSettings {
    pub(super) max_celsius: Option<Celsius>,
    may_freeze: bool,
    cpu: Option<CpuQuota>,
    /// `[gpu] access`.
    uses_gpu: bool,
    /// `[gpu] memory`.
    pub(super) gpu_memory: Option<MemoryLimit>,
    /// Last observed invocation, and the uptime since when it is up. It is computed once, because two clocks
    /// never agree to the microsecond.
    pub(super) attempt: Option<(InvocationId, TimeSpan)>,
    /// Fingerprint of the files that it was read from.
    fingerprint: u64,
    /// Uptime of the last check of the files.
    checked_at: TimeSpan,
}

impl RunningSettings {
    pub(super) fn thermal_load(
        &self,
        id: &ExperimentId,
        priority: i32,
        since: TimeSpan,
    ) -> ThermalLoad {
        ThermalLoad {
            experiment: id.clone(),
            priority,
            since,
            // The quota in force may be a cap, so the definition counts; heat control bounds it by the machine's
            // processors.
            cpu: self.cpu.map_or(UNBOUNDED, CpuQuota::percent),
            cpu_time: None,
            can_cap: true,
            can_cap_gpu: self.uses_gpu,
            can_freeze: self.may_freeze,
            max_celsius: self.max_celsius,
        }
    }
}

impl<P: Ports> Coordinator<P> {
    /// Reads an experiment's definition again if its files have changed.
    pub(super) fn refresh_running_settings(&mut self, id: &ExperimentId) {
        let uptime = self.seen.now.uptime;
        let known = self.running_settings.get(id);
        let is_fresh = |known: &RunningSettings| {
            uptime.as_micros().saturating_sub(known.checked_at.as_micros()) < CHECK_INTERVAL
        };
        if known.is_some_and(is_fresh) {
            return;
        }
        // Taken before reading: a change in between is noticed next time.
        let fingerprint = self.adapters.definitions.fingerprint(id);
        let attempt = known.and_then(|known| known.attempt);
        // While a definition is being edited and unusable, its last settings apply.
        let same = known.filter(|known| known.fingerprint == fingerprint).copied();
        let current =
            same.or_else(|| self.read_running_settings(id)).or(known.copied()).unwrap_or_default();
        let settings = RunningSettings { attempt, fingerprint, checked_at: uptime, ..current };
        self.running_settings.insert(id.clone(), settings);
    }

    fn read_running_settings(&self, id: &ExperimentId) -> Option<RunningSettings> {
        let spec = self.adapters.definitions.find(id).ok()?.spec;
        Some(RunningSettings {
            max_celsius: spec.thermal.max_celsius.map(Celsius::from_degrees),
            may_freeze: spec.thermal.may_freeze(spec.health.watchdog),
            cpu: spec.limits.cpu.and_then(Limit::at),
            uses_gpu: spec.gpu.access,
            gpu_memory: spec.gpu.memory,
            ..RunningSettings::default()
        })
    }
}
