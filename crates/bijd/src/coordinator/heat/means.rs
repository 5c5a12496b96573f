//! What can be done about heat on this machine.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use bij_coordinator::heat::{HeatStep, Living};
use bij_core::{ExperimentId, Percent, TimeSpan};

use super::deed::Failure;

/// What can be done, and what has turned out to be impossible.
#[derive(Debug)]
pub(super) struct Means {
    processors: Percent,
    can_cap: bool,
    can_freeze: bool,
    /// Those that could not be frozen, whatever the reason: they are not tried again.
    not_frozen: BTreeSet<ExperimentId>,
}

impl Means {
    /// The means of a machine whose control groups are mounted here.
    pub(super) fn of(cgroups: &Path) -> Self {
        let count = available_parallelism().map_or(1, NonZero::get);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let can_cap = can_cap(cgroups);
        if !can_cap {
            log::warn!("heat: {}", told_once(&NO_BANDWIDTH));
        }
        Self {
            processors: Percent::new(count.saturating_mul(100)),
            can_cap,
            can_freeze: true,
            not_frozen: BTreeSet::new(),
        }
    }

    /// All processors.
    pub(super) const fn processors(&self) -> Percent {
        self.processors
    }

    /// An experiment within these means.
    pub(super) fn bounded(&self, one: &Living) -> Living {
        Living {
            cpu: one.cpu.min(self.processors),
            can_cap: one.can_cap && self.can_cap,
            can_freeze: one.can_freeze
                && self.can_freeze
                && !self.not_frozen.contains(&one.experiment),
            ..one.clone()
        }
    }

    /// One that nobody has told of: it may be anything, and is held back first.
    pub(super) fn stranger(&self, experiment: ExperimentId) -> Living {
        Living {
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

    /// A step has failed. Gives what there is to tell of that: what can never be done is told once,
    /// however many were to be held back by it.
    pub(super) fn learn(&mut self, step: &HeatStep, failure: &Failure) -> Option<String> {
        let was = (self.can_cap, self.can_freeze);
        match step {
            HeatStep::Freeze { experiment } => {
                self.can_freeze &= !failure.for_good;
                self.not_frozen.insert(experiment.clone());
            }
            HeatStep::Cap { .. } => self.can_cap &= !failure.for_good,
            HeatStep::Hold
            | HeatStep::Admit
            | HeatStep::CapGpu { .. }
            | HeatStep::UncapGpu
            | HeatStep::Uncap { .. }
            | HeatStep::Thaw { .. }
            | HeatStep::Stop { .. } => {}
        }
        if !failure.for_good {
            return Some(format!("{step}: {failure}"));
        }
        (was != (self.can_cap, self.can_freeze)).then(|| told_once(failure))
    }
}

/// What the files of a kernel without `CONFIG_CFS_BANDWIDTH` come to.
const NO_BANDWIDTH: &str = "this kernel cannot bound processor time (CONFIG_CFS_BANDWIDTH)";

fn told_once(what: &dyn fmt::Display) -> String {
    format!("{what}; the ladder does without it from now on")
}

/// Whether the kernel can bound processor time (`CONFIG_CFS_BANDWIDTH`; some of NVIDIA's cannot):
/// systemd takes `CPUQuota=` all the same. Version 2 has `cpu.max` beside `cpu.weight` then, in all
/// groups but the first; version 1 has `cpu.cfs_quota_us`.
fn can_cap(cgroups: &Path) -> bool {
    for version_1 in ["cpu", "cpu,cpuacct"] {
        let group = cgroups.join(version_1);
        if group.join("cpu.shares").exists() {
            return group.join("cpu.cfs_quota_us").exists();
        }
    }
    let groups = fs::read_dir(cgroups).into_iter().flatten().flatten();
    let weighted = groups.map(|entry| entry.path()).find(|group| group.join("cpu.weight").exists());
    // Where no group has a weight yet, nothing is known against it.
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
    fn what_can_never_be_done_is_told_once_and_not_tried_again() {
        let mut means = Means::of(tree(&["cpu/cpu.shares", "cpu/cpu.cfs_quota_us"]).path());
        let [a, b]: [ExperimentId; 2] = ["a", "b"].map(|id| id.parse().unwrap());
        assert!(means.stranger(a.clone()).can_cap);
        let cap = |experiment| HeatStep::Cap { experiment, to: Percent::new(50) };
        let failure = || Failure::from(UnitError::Unsupported("it has no effect"));
        let told = means.learn(&cap(a.clone()), &failure());
        let said = "it has no effect; the ladder does without it from now on";
        assert_eq!(told.as_deref(), Some(said));
        assert_eq!(means.learn(&cap(b), &failure()), None);
        assert!(!means.stranger(a.clone()).can_cap);
        let gone = UnitError::NotFound(a.clone()).into();
        let told = means.learn(&HeatStep::Freeze { experiment: a }, &gone);
        assert_eq!(told.as_deref(), Some("freezes a: there is no experiment a"));
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
