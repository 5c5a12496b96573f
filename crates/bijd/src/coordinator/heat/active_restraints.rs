//! The restraints in force, stored for the next coordinator.
//!
//! A killed coordinator leaves experiments frozen or capped. The next one must know that heat control did that, and
//! not an operator's `systemctl freeze`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bij_coordinator::heat::{HeatStep, Living, Motion, Restraint};
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
    held: BTreeMap<ExperimentId, StoredRestraint>,
    gpu: Option<SavedGpuLimit>,
}

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RestraintFile {
    experiments: BTreeMap<ExperimentId, StoredRestraint>,
    gpu: Option<SavedGpuLimit>,
}

/// The restraint of one experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct StoredRestraint {
    /// Hundredths of a percent of one processor.
    cap: Option<u64>,
    frozen: bool,
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
        let held = read.unwrap_or_else(|error| {
            log::warn!("cannot parse {}: {error}", path.display());
            None
        });
        let RestraintFile { experiments, gpu } = held.unwrap_or_default();
        Self { path, held: experiments, gpu }
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

    /// Returns the restraints for a ladder.
    pub(super) fn to_ladder(&self) -> Vec<(ExperimentId, Restraint)> {
        let restraint = |held: &StoredRestraint| Restraint {
            cap: held.cap.map(Percent::from_permyriad),
            motion: if held.frozen { Motion::Frozen } else { Motion::Running },
        };
        self.held.iter().map(|(id, held)| (id.clone(), restraint(held))).collect()
    }

    /// Records a step that is about to be executed.
    pub(super) fn record(&mut self, step: &HeatStep) {
        let Some(experiment) = step.experiment() else { return };
        let held = self.held.entry(experiment.clone()).or_default();
        match step {
            HeatStep::Cap { to, .. } => held.cap = Some(to.permyriad()),
            HeatStep::Uncap { .. } => held.cap = None,
            HeatStep::Freeze { .. } => held.frozen = true,
            HeatStep::Thaw { .. } => held.frozen = false,
            // A stop also ends the other restraints.
            HeatStep::Stop { .. } => *held = StoredRestraint::default(),
            // These concern no experiment.
            HeatStep::Hold | HeatStep::Admit | HeatStep::CapGpu { .. } | HeatStep::UncapGpu => {}
        }
        if *held == StoredRestraint::default() {
            self.held.remove(experiment);
        }
        self.write();
    }

    /// Removes a restraint again whose step had no effect.
    pub(super) fn revert(&mut self, step: &HeatStep) {
        match step.clone() {
            HeatStep::Cap { experiment, .. } => self.record(&HeatStep::Uncap { experiment }),
            HeatStep::Freeze { experiment } => self.record(&HeatStep::Thaw { experiment }),
            HeatStep::Hold
            | HeatStep::Admit
            | HeatStep::CapGpu { .. }
            | HeatStep::UncapGpu
            | HeatStep::Uncap { .. }
            | HeatStep::Thaw { .. }
            | HeatStep::Stop { .. } => {}
        }
    }

    /// Returns the steps that lift restraints of inactive experiments, which would otherwise also apply to their next
    /// attempt.
    pub(super) fn lifts_of_inactive(&self, living: &[Living]) -> Vec<HeatStep> {
        let is_up = |id: &ExperimentId| living.iter().any(|one| one.experiment == *id);
        let lifts = self.lift_steps().into_iter();
        lifts.filter(|step| step.experiment().is_some_and(|id| !is_up(id))).collect()
    }

    /// Returns the steps that lift all restraints.
    pub(super) fn lift_steps(&self) -> Vec<HeatStep> {
        let lifts = |(id, held): (&ExperimentId, &StoredRestraint)| {
            let experiment = || id.clone();
            let thaw = held.frozen.then(|| HeatStep::Thaw { experiment: experiment() });
            let uncap = held.cap.map(|_| HeatStep::Uncap { experiment: experiment() });
            thaw.into_iter().chain(uncap)
        };
        self.held.iter().flat_map(lifts).collect()
    }

    /// Writes the file. An error is only logged, because heat control must act anyway.
    fn write(&self) {
        let written = if self.held.is_empty() && self.gpu.is_none() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            let stored = RestraintFile { experiments: self.held.clone(), gpu: self.gpu.clone() };
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
        let mut restraints = ActiveRestraints::load(&layout);
        restraints.record(&HeatStep::Cap { experiment: a.clone(), to: Percent::new(150) });
        restraints.record(&HeatStep::Freeze { experiment: a.clone() });
        restraints.record(&HeatStep::Freeze { experiment: b.clone() });
        restraints.record(&HeatStep::Thaw { experiment: b.clone() });
        let mut next = ActiveRestraints::load(&layout);
        restraints.record(&HeatStep::Cap { experiment: b.clone(), to: Percent::new(50) });
        restraints.revert(&HeatStep::Cap { experiment: b.clone(), to: Percent::new(50) });
        let restraint = Restraint { cap: Some(Percent::new(150)), motion: Motion::Frozen };
        let left = restraints.lifts_of_inactive(&[]);
        assert_eq!(left.iter().map(HeatStep::name).collect::<Vec<_>>(), ["thaw", "uncap"]);
        assert_eq!(next.to_ladder(), [(a, restraint)]);
        for step in next.lift_steps() {
            next.record(&step);
        }
        assert!(!layout.runtime().join("heat.json").exists());
        fs::write(layout.runtime().join("heat.json"), "{").unwrap();
        assert!(ActiveRestraints::load(&layout).to_ladder().is_empty());
    }
}
