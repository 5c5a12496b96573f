//! Reads definitions: terms, obstacles, extras that are no longer allowed, and the settings of running experiments.

use bij_core::port::{Change, DefinitionSource};
use bij_core::queue::{QueueState, QueuedRun, Terms};
use bij_core::spec::ExperimentSpec;
use bij_core::{
    Celsius, CpuQuota, ExperimentId, InvocationId, Limit, MemoryLimit, Percent, TimeSpan, Uptime,
};
use bij_definition::{SourceFile, SpecOverlay};

use super::Coordinator;
use crate::plan::check_extras;
use crate::thermal::ThermalLoad;
use crate::{Ports, terms};

/// Holder of a run whose extras its definition no longer allows.
const HOLDER: &str = "bij-coordinator";
/// More than any machine's processors.
const UNBOUNDED: Percent = Percent::new(100 * 4096);
/// Interval at which definitions of running experiments are checked for changes.
const CHECK_INTERVAL: TimeSpan = TimeSpan::from_secs(1);

impl<P: Ports> Coordinator<P> {
    /// Returns the terms that an experiment's definition asks for, if it is usable.
    pub(super) fn terms_of(&self, id: &ExperimentId) -> Option<Terms> {
        let found = self.adapters.definitions.find(id).ok()?;
        Some(terms::of_definition(&found.spec, &self.seen.sample))
    }

    /// Returns the terms of a definition with these extras. The unit's own start reports errors in the extras.
    pub(super) fn terms_with_extras(&self, spec: &ExperimentSpec, extras: &str) -> Terms {
        let overlay = SpecOverlay::parse(SourceFile::new("extras", extras.as_bytes()));
        let mut spec = spec.clone();
        overlay.unwrap_or_default().apply(&mut spec);
        terms::of_definition(&spec, &self.seen.sample)
    }

    /// Returns what the machine lacks for an experiment's start, as a sentence with its remedy.
    pub(super) fn obstacle(&self, id: &ExperimentId) -> Option<String> {
        let definitions = &self.adapters.definitions;
        let found = definitions.find(id).ok()?;
        definitions.obstacles(&found.spec, None).first().map(ToString::to_string)
    }

    /// Returns the change that holds a queued run, and the reason, if its definition no longer allows its
    /// extras.
    ///
    /// A definition or extras that cannot be read are left to the start, which reports the error.
    pub(super) fn hold_for_extras(&self, run: &QueuedRun) -> Option<(Change, String)> {
        if run.extras.is_empty() {
            return None;
        }
        let extras = SpecOverlay::parse(SourceFile::new("extras", run.extras.as_bytes())).ok()?;
        let spec = self.adapters.definitions.find_without_extras(&run.run.experiment).ok()?.spec;
        let Self { state, seen, owner, .. } = self;
        let denied = check_extras(state, seen, *owner, &spec, &extras, &run.by).err()?;
        let text = format!("{} {denied}; {}", run.by, denied.remedy());
        let change = Change::State {
            run: run.run.clone(),
            from: Some(run.state.clone()),
            state: QueueState::Held { by: HOLDER.to_owned() },
            why: text.clone(),
        };
        Some((change, text))
    }

    /// Reads the definition of an experiment that is or was up again if its files have changed: an edit applies
    /// to a running experiment as well.
    pub(super) fn refresh_running_settings(&mut self, id: &ExperimentId) {
        let uptime = self.seen.now.uptime;
        let known = self.running_settings.get(id);
        let is_fresh = |known: &RunningSettings| uptime - known.checked_at < CHECK_INTERVAL;
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
    pub(super) attempt: Option<(InvocationId, Uptime)>,
    /// Fingerprint of the files that it was read from.
    fingerprint: u64,
    /// Uptime of the last check of the files.
    checked_at: Uptime,
}

impl RunningSettings {
    pub(super) fn thermal_load(
        &self,
        id: &ExperimentId,
        priority: i32,
        since: Uptime,
    ) -> ThermalLoad {
        ThermalLoad {
            experiment: id.clone(),
            priority,
            since,
            // The quota in force may be a cap, so the definition counts; thermal control bounds it by the machine's
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
