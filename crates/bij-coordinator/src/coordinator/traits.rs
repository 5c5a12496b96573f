//! What definitions say of those that run, as they say it now: what is edited holds for one that runs as
//! well.

use bij_core::port::DefinitionSource;
use bij_core::{
    Celsius, CpuQuota, ExperimentId, InvocationId, Limit, MemoryLimit, Percent, TimeSpan,
};

use super::Coordinator;
use crate::Ports;
use crate::heat::Living;

/// More processors than there are.
const UNBOUNDED: Percent = Percent::new(100 * 4096);
/// So often is looked whether a definition has changed, while the loop turns.
const LOOK_EVERY: u64 = 1_000_000;

/// What a definition says of those that run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    pub(super) max_celsius: Option<Celsius>,
    may_freeze: bool,
    cpu: Option<CpuQuota>,
    /// `[gpu] access`.
    uses_gpu: bool,
    /// `[gpu] memory`.
    pub(super) gpu_memory: Option<MemoryLimit>,
    /// The life that was seen last, and the uptime since when it is up. That is reckoned once: two
    /// clocks never agree to the microsecond.
    pub(super) life: Option<(InvocationId, TimeSpan)>,
    /// What it was read from.
    fingerprint: u64,
    /// The uptime at which that was looked at.
    looked: TimeSpan,
}

impl Traits {
    pub(super) fn living(&self, id: &ExperimentId, priority: i32, since: TimeSpan) -> Living {
        Living {
            experiment: id.clone(),
            priority,
            since,
            // What is in force may be a cap, so the definition says; whoever knows the machine bounds
            // it by its processors.
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
    /// Sees to it that what a definition says is known. It is read again when its files have changed.
    pub(super) fn know_traits(&mut self, id: &ExperimentId) {
        let uptime = self.seen.now.uptime;
        let known = self.traits.get(id);
        let is_fresh = |known: &Traits| {
            uptime.as_micros().saturating_sub(known.looked.as_micros()) < LOOK_EVERY
        };
        if known.is_some_and(is_fresh) {
            return;
        }
        // Before it is read: what changes in between is seen the next time.
        let fingerprint = self.adapters.definitions.fingerprint(id);
        let life = known.and_then(|known| known.life);
        // One that is just being edited, and cannot be used, says what it said before.
        let same = known.filter(|known| known.fingerprint == fingerprint).copied();
        let said = same.or_else(|| self.read_traits(id)).or(known.copied()).unwrap_or_default();
        let traits = Traits { life, fingerprint, looked: uptime, ..said };
        self.traits.insert(id.clone(), traits);
    }

    fn read_traits(&self, id: &ExperimentId) -> Option<Traits> {
        let spec = self.adapters.definitions.find(id).ok()?.spec;
        Some(Traits {
            max_celsius: spec.thermal.max_celsius.map(Celsius::from_degrees),
            may_freeze: spec.thermal.may_freeze(spec.health.watchdog),
            cpu: spec.limits.cpu.and_then(Limit::at),
            uses_gpu: spec.gpu.access,
            gpu_memory: spec.gpu.memory,
            ..Traits::default()
        })
    }
}
