//! What is in force for heat, kept where the next coordinator finds it.
//!
//! A coordinator that is killed leaves experiments frozen or capped. The one after it must know that
//! these are the ladder's own, and not somebody's `systemctl freeze`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bij_coordinator::heat::{HeatStep, Living, Motion, Restraint};
use bij_core::{ExperimentId, Layout, Percent};
use bij_host::files;
use serde::{Deserialize, Serialize};

use super::gpu_rein::HeldGpu;

/// A few dozen bytes for each experiment.
const CAP: u64 = 1 << 20;

/// What is in force, in a file of the runtime directory: after a reboot nothing is.
#[derive(Debug)]
pub(super) struct InForce {
    path: PathBuf,
    held: BTreeMap<ExperimentId, Held>,
    gpu: Option<HeldGpu>,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    experiments: BTreeMap<ExperimentId, Held>,
    gpu: Option<HeldGpu>,
}

/// What is in force for one experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    /// Hundredths of a percent of one processor.
    cap: Option<u64>,
    frozen: bool,
}

impl InForce {
    /// What a coordinator before this one has left.
    pub(super) fn left_in(layout: &Layout) -> Self {
        let path = layout.runtime().join("heat.json");
        let read = match files::read_own(&path, CAP, layout) {
            Ok(text) => text.map(|text| serde_json::from_str::<Stored>(&text)).transpose(),
            Err(error) => {
                log::warn!("cannot read {}: {error}", path.display());
                Ok(None)
            }
        };
        let held = read.unwrap_or_else(|error| {
            log::warn!("{} makes no sense: {error}", path.display());
            None
        });
        let Stored { experiments, gpu } = held.unwrap_or_default();
        Self { path, held: experiments, gpu }
    }

    /// What of the GPU's clock is in force.
    pub(super) fn gpu(&self) -> Option<&HeldGpu> {
        self.gpu.as_ref()
    }

    /// This of the GPU's clock is in force, or about to be.
    pub(super) fn set_gpu(&mut self, gpu: Option<&HeldGpu>) {
        if self.gpu.as_ref() != gpu {
            self.gpu = gpu.cloned();
            self.write();
        }
    }

    /// The same for a ladder.
    pub(super) fn restraints(&self) -> Vec<(ExperimentId, Restraint)> {
        let restraint = |held: &Held| Restraint {
            cap: held.cap.map(Percent::from_permyriad),
            motion: if held.frozen { Motion::Frozen } else { Motion::Running },
        };
        self.held.iter().map(|(id, held)| (id.clone(), restraint(held))).collect()
    }

    /// A step is about to be taken.
    pub(super) fn take_in(&mut self, step: &HeatStep) {
        let Some(experiment) = step.experiment() else { return };
        let held = self.held.entry(experiment.clone()).or_default();
        match step {
            HeatStep::Cap { to, .. } => held.cap = Some(to.permyriad()),
            HeatStep::Uncap { .. } => held.cap = None,
            HeatStep::Freeze { .. } => held.frozen = true,
            HeatStep::Thaw { .. } => held.frozen = false,
            // Whatever else was in force ends with it.
            HeatStep::Stop { .. } => *held = Held::default(),
            // These are nobody's.
            HeatStep::Hold | HeatStep::Admit | HeatStep::CapGpu { .. } | HeatStep::UncapGpu => {}
        }
        if *held == Held::default() {
            self.held.remove(experiment);
        }
        self.write();
    }

    /// A step that holds back had no effect, and left nothing behind.
    pub(super) fn take_back(&mut self, step: &HeatStep) {
        match step.clone() {
            HeatStep::Cap { experiment, .. } => self.take_in(&HeatStep::Uncap { experiment }),
            HeatStep::Freeze { experiment } => self.take_in(&HeatStep::Thaw { experiment }),
            HeatStep::Hold
            | HeatStep::Admit
            | HeatStep::CapGpu { .. }
            | HeatStep::UncapGpu
            | HeatStep::Uncap { .. }
            | HeatStep::Thaw { .. }
            | HeatStep::Stop { .. } => {}
        }
    }

    /// What lifts the caps of those that are not up any more: they would bound the next life, of which
    /// the ladder knows nothing.
    pub(super) fn lifts_left_behind(&self, living: &[Living]) -> Vec<HeatStep> {
        let is_up = |id: &ExperimentId| living.iter().any(|one| one.experiment == *id);
        let lifts = self.lifts().into_iter();
        lifts.filter(|step| step.experiment().is_some_and(|id| !is_up(id))).collect()
    }

    /// What lets everything go.
    pub(super) fn lifts(&self) -> Vec<HeatStep> {
        let lifts = |(id, held): (&ExperimentId, &Held)| {
            let experiment = || id.clone();
            let thaw = held.frozen.then(|| HeatStep::Thaw { experiment: experiment() });
            let uncap = held.cap.map(|_| HeatStep::Uncap { experiment: experiment() });
            thaw.into_iter().chain(uncap)
        };
        self.held.iter().flat_map(lifts).collect()
    }

    /// It is no reason not to act that this cannot be written.
    fn write(&self) {
        let written = if self.held.is_empty() && self.gpu.is_none() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            let stored = Stored { experiments: self.held.clone(), gpu: self.gpu.clone() };
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
    fn what_is_in_force_is_found_by_the_next_coordinator_and_only_that() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::system(root.path());
        fs::create_dir_all(layout.runtime()).unwrap();
        let [a, b]: [ExperimentId; 2] = ["a", "b"].map(|id| id.parse().unwrap());
        let mut in_force = InForce::left_in(&layout);
        in_force.take_in(&HeatStep::Cap { experiment: a.clone(), to: Percent::new(150) });
        in_force.take_in(&HeatStep::Freeze { experiment: a.clone() });
        in_force.take_in(&HeatStep::Freeze { experiment: b.clone() });
        in_force.take_in(&HeatStep::Thaw { experiment: b.clone() });
        let mut next = InForce::left_in(&layout);
        in_force.take_in(&HeatStep::Cap { experiment: b.clone(), to: Percent::new(50) });
        in_force.take_back(&HeatStep::Cap { experiment: b.clone(), to: Percent::new(50) });
        let restraint = Restraint { cap: Some(Percent::new(150)), motion: Motion::Frozen };
        let left = in_force.lifts_left_behind(&[]);
        assert_eq!(left.iter().map(HeatStep::name).collect::<Vec<_>>(), ["thaw", "uncap"]);
        assert_eq!(next.restraints(), [(a, restraint)]);
        for step in next.lifts() {
            next.take_in(&step);
        }
        assert!(!layout.runtime().join("heat.json").exists());
        fs::write(layout.runtime().join("heat.json"), "{").unwrap();
        assert!(InForce::left_in(&layout).restraints().is_empty());
    }
}
