//! The restraints that this machine supports.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use bij_coordinator::heat::{HeatStep, Living};
use bij_core::{ExperimentId, Percent, Uptime};

use super::execute::StepFailure;

/// The restraints that this machine supports, except those that have failed.
#[derive(Debug)]
pub(super) struct HeatCapabilities {
    processors: Percent,
    can_cap: bool,
    can_freeze: bool,
    /// Experiments that could not be frozen, and are not tried again.
    not_frozen: BTreeSet<ExperimentId>,
}

impl HeatCapabilities {
    /// Finds the capabilities of a machine whose control groups are mounted at `cgroups`.
    pub(super) fn new(cgroups: &Path) -> Self {
        let count = available_parallelism().map_or(1, NonZero::get);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let can_cap = can_cap(cgroups);
        if !can_cap {
            log::warn!("heat: {}", done_without(&NO_BANDWIDTH));
        }
        Self {
            processors: Percent::new(count.saturating_mul(100)),
            can_cap,
            can_freeze: true,
            not_frozen: BTreeSet::new(),
        }
    }

    /// Returns the time of all processors.
    pub(super) const fn processors(&self) -> Percent {
        self.processors
    }

    /// Returns an experiment without the restraints that this machine does not support.
    pub(super) fn restrict(&self, one: &Living) -> Living {
        Living {
            cpu: one.cpu.min(self.processors),
            can_cap: one.can_cap && self.can_cap,
            can_freeze: one.can_freeze
                && self.can_freeze
                && !self.not_frozen.contains(&one.experiment),
            ..one.clone()
        }
    }

    /// Returns an experiment that the loop does not know, which is restrained first.
    pub(super) fn unknown_experiment(&self, experiment: ExperimentId) -> Living {
        Living {
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

    /// Records a failed step. Returns a message for the log; a permanent failure is logged only the first time.
    pub(super) fn record_failure(
        &mut self,
        step: &HeatStep,
        failure: &StepFailure,
    ) -> Option<String> {
        let was = (self.can_cap, self.can_freeze);
        match step {
            HeatStep::Freeze { experiment } => {
                self.can_freeze &= !failure.is_permanent;
                self.not_frozen.insert(experiment.clone());
            }
            HeatStep::Cap { .. } => self.can_cap &= !failure.is_permanent,
            HeatStep::Hold
            | HeatStep::Admit
            | HeatStep::CapGpu { .. }
            | HeatStep::UncapGpu
            | HeatStep::Uncap { .. }
            | HeatStep::Thaw { .. }
            | HeatStep::Stop { .. } => {}
        }
        if !failure.is_permanent {
            return Some(format!("{step}: {failure}"));
        }
        (was != (self.can_cap, self.can_freeze)).then(|| done_without(failure))
    }
}

/// The failure of a kernel without `CONFIG_CFS_BANDWIDTH`.
const NO_BANDWIDTH: &str = "this kernel cannot limit processor time (CONFIG_CFS_BANDWIDTH)";

fn done_without(what: &dyn fmt::Display) -> String {
    format!("{what}; heat control no longer uses it")
}

/// Returns whether the kernel can limit processor time (`CONFIG_CFS_BANDWIDTH`; some of NVIDIA's cannot, and systemd
/// accepts `CPUQuota=` anyway). Cgroup v2 then has `cpu.max` beside `cpu.weight` in all groups but the root; v1 has
/// `cpu.cfs_quota_us`.
fn can_cap(cgroups: &Path) -> bool {
    for version_1 in ["cpu", "cpu,cpuacct"] {
        let group = cgroups.join(version_1);
        if group.join("cpu.shares").exists() {
            return group.join("cpu.cfs_quota_us").exists();
        }
    }
    let groups = fs::read_dir(cgroups).into_iter().flatten().flatten();
    let weighted = groups.map(|entry| entry.path()).find(|group| group.join("cpu.weight").exists());
    // Without a group that has a weight, assume that it can.
    weighted.is_none_or(|group| group.join("cpu.max").exists())
}

#[cfg(test)]
mod tests {
    use bij_core::port::UnitError;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn a_permanent_failure_is_logged_once_and_not_tried_again() {
        let mut capabilities =
            HeatCapabilities::new(tree(&["cpu/cpu.shares", "cpu/cpu.cfs_quota_us"]).path());
        let [a, b]: [ExperimentId; 2] = ["a", "b"].map(|id| id.parse().unwrap());
        assert!(capabilities.unknown_experiment(a.clone()).can_cap);
        let cap = |experiment| HeatStep::Cap { experiment, to: Percent::new(50) };
        let failure = || StepFailure::from(UnitError::Unsupported("it has no effect"));
        let text = capabilities.record_failure(&cap(a.clone()), &failure());
        let expected = "it has no effect; heat control no longer uses it";
        assert_eq!(text.as_deref(), Some(expected));
        assert_eq!(capabilities.record_failure(&cap(b), &failure()), None);
        assert!(!capabilities.unknown_experiment(a.clone()).can_cap);
        let gone = UnitError::NotFound(a.clone()).into();
        let text = capabilities.record_failure(&HeatStep::Freeze { experiment: a }, &gone);
        assert_eq!(text.as_deref(), Some("freezes a: there is no experiment a"));
    }

    #[test]
    fn a_kernel_without_bandwidth_control_is_known_by_its_files() {
        for (files, can) in [
            (&["system.slice/cpu.weight", "system.slice/cpu.max"][..], true),
            (&["system.slice/cpu.weight"], false),
            (&["system.slice/cgroup.procs"], true),
            (&["cpu/cpu.shares", "cpu/cpu.cfs_quota_us"], true),
            (&["cpu,cpuacct/cpu.shares"], false),
        ] {
            assert_eq!(can_cap(tree(files).path()), can, "{files:?}");
        }
    }
}
