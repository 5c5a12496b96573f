//! The restraints in force, stored for the next coordinator.
//!
//! A killed coordinator leaves experiments frozen or capped. The next one must know that thermal control did that, and
//! not an operator's `systemctl freeze`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bij_coordinator::thermal::{Activity, Restraint, RestraintChange, ThermalLoad};
use bij_core::{ExperimentId, Layout, Percent};
use bij_host::files;
use serde::{Deserialize, Serialize};

use super::gpu_clock_limit::SavedGpuLimit;

/// Largest file, in bytes; it has a few dozen for each experiment.
const MAX_LEN: u64 = 1 << 20;

/// The restraints in force, in a file of the runtime directory, because none survives a reboot.
#[derive(Debug)]
pub(super) struct ActiveRestraints {
    path: PathBuf,
    each: BTreeMap<ExperimentId, Restraint>,
    gpu: Option<SavedGpuLimit>,
}

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RestraintFile {
    experiments: BTreeMap<ExperimentId, StoredRestraint>,
    gpu: Option<SavedGpuLimit>,
}

/// The restraint of one experiment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StoredRestraint {
    /// Hundredths of a percent of one processor.
    cap: Option<u64>,
    frozen: bool,
}

impl From<StoredRestraint> for Restraint {
    fn from(stored: StoredRestraint) -> Self {
        Self {
            cap: stored.cap.map(Percent::from_permyriad),
            activity: if stored.frozen { Activity::Frozen } else { Activity::Running },
        }
    }
}

impl From<Restraint> for StoredRestraint {
    fn from(restraint: Restraint) -> Self {
        Self {
            cap: restraint.cap.map(Percent::permyriad),
            frozen: restraint.activity == Activity::Frozen,
        }
    }
}

impl ActiveRestraints {
    /// Reads the restraints that a previous coordinator has left in force.
    pub(super) fn load(layout: &Layout) -> Self {
        let path = layout.runtime().join("heat.json");
        let read = match files::read_own(&path, MAX_LEN, layout) {
            Ok(text) => text.map(|text| serde_json::from_str::<RestraintFile>(&text)).transpose(),
            Err(error) => {
                log::warn!("cannot read {}: {error}", path.display());
                Ok(None)
            }
        };
        let read = read.unwrap_or_else(|error| {
            log::warn!("cannot parse {}: {error}", path.display());
            None
        });
        let RestraintFile { experiments, gpu } = read.unwrap_or_default();
        let each = experiments.into_iter().map(|(id, stored)| (id, stored.into())).collect();
        Self { path, each, gpu }
    }

    /// Returns the limit of the GPU's clock, if one is in force.
    pub(super) fn gpu(&self) -> Option<&SavedGpuLimit> {
        self.gpu.as_ref()
    }

    /// Records the limit of the GPU's clock that is, or is about to be, in force.
    pub(super) fn set_gpu(&mut self, gpu: Option<&SavedGpuLimit>) {
        if self.gpu.as_ref() != gpu {
            self.gpu = gpu.cloned();
            self.write();
        }
    }

    /// Returns the restraint of each experiment.
    pub(super) fn each(&self) -> impl Iterator<Item = (ExperimentId, Restraint)> {
        self.each.iter().map(|(id, restraint)| (id.clone(), *restraint))
    }

    /// Records a change that is about to be carried out.
    pub(super) fn record(&mut self, experiment: &ExperimentId, change: RestraintChange) {
        let restraint = self.each.entry(experiment.clone()).or_default();
        restraint.apply(change);
        // A stop also ends the other restraints.
        if restraint.is_empty() || restraint.is_stopping() {
            self.each.remove(experiment);
        }
        self.write();
    }

    /// Returns the changes that lift restraints of inactive experiments, which would otherwise also apply to their next
    /// attempt.
    pub(super) fn lifts_of_inactive(
        &self,
        loads: &[ThermalLoad],
    ) -> Vec<(ExperimentId, RestraintChange)> {
        let is_up = |id: &ExperimentId| loads.iter().any(|load| load.experiment == *id);
        self.lifts().into_iter().filter(|(id, _)| !is_up(id)).collect()
    }

    /// Returns the changes that lift all restraints.
    pub(super) fn lifts(&self) -> Vec<(ExperimentId, RestraintChange)> {
        let lifts = |(id, restraint): (&ExperimentId, &Restraint)| {
            let id = id.clone();
            restraint.lifts().map(move |change| (id.clone(), change))
        };
        self.each.iter().flat_map(lifts).collect()
    }

    /// Writes the file. An error is only logged, because thermal control must act anyway.
    fn write(&self) {
        let written = if self.each.is_empty() && self.gpu.is_none() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            let each = self.each.iter().map(|(id, restraint)| (id.clone(), (*restraint).into()));
            let stored = RestraintFile { experiments: each.collect(), gpu: self.gpu.clone() };
            let text = serde_json::to_string(&stored).unwrap_or_default();
            files::put(&self.path, text.as_bytes(), 0o644)
        };
        if let Err(error) = written {
            log::warn!("cannot write {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_coordinator_finds_exactly_the_restraints_in_force() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::system(root.path());
        fs::create_dir_all(layout.runtime()).unwrap();
        let [a, b]: [ExperimentId; 2] = ["a", "b"].map(|id| id.parse().unwrap());
        let cap = |percent| RestraintChange::Cap(Percent::new(percent));
        let mut restraints = ActiveRestraints::load(&layout);
        restraints.record(&a, cap(150));
        restraints.record(&a, RestraintChange::Freeze);
        restraints.record(&b, RestraintChange::Freeze);
        restraints.record(&b, RestraintChange::Thaw);
        let mut next = ActiveRestraints::load(&layout);
        restraints.record(&b, cap(50));
        restraints.record(&b, cap(50).undo().unwrap());
        let restraint = Restraint { cap: Some(Percent::new(150)), activity: Activity::Frozen };
        let left = restraints.lifts_of_inactive(&[]);
        let left: Vec<&str> = left.iter().map(|(_, change)| change.name()).collect();
        assert_eq!(left, ["thaw", "uncap"]);
        assert_eq!(next.each().collect::<Vec<_>>(), [(a, restraint)]);
        for (experiment, change) in next.lifts() {
            next.record(&experiment, change);
        }
        assert!(!layout.runtime().join("heat.json").exists());
        fs::write(layout.runtime().join("heat.json"), "{").unwrap();
        assert!(ActiveRestraints::load(&layout).each().next().is_none());
    }
}
