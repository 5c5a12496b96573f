//! The GPU's clock in heat control.

use bij_coordinator::heat::Living;
use bij_coordinator::{Ports, RunningExperiments};
use bij_core::Hertz;

use super::HeatLoop;

impl<P: Ports> HeatLoop<P> {
    /// Reads the GPU's clock, if it may be limited and an experiment uses it; updates `can_cap_gpu` of `living`.
    pub(super) fn observe_gpu(&mut self, lives: &RunningExperiments, living: &mut [Living]) {
        if !lives.cap_gpu.unwrap_or(self.is_jetson) {
            self.lift_gpu();
            self.gpu.clear_observation();
        } else if self.gpu.saved().is_some() || living.iter().any(|one| one.can_cap_gpu) {
            if let Some(foreign) = self.gpu.observe() {
                log::info!(
                    "heat: the GPU's clock limit was changed to {foreign} from outside; leaving it"
                );
                self.restraints.set_gpu(None);
            }
        } else {
            self.gpu.clear_observation();
        }
        let can_cap = self.gpu.observed().is_some();
        for one in living {
            one.can_cap_gpu &= can_cap;
        }
    }

    pub(super) fn cap_gpu(&mut self, to: Hertz) {
        let Self { gpu, restraints, .. } = self;
        if let Err(error) = gpu.cap(to, |saved| restraints.set_gpu(saved)) {
            let error = bij_core::error_chain(&error);
            log::warn!("heat: {error}; heat control no longer uses the GPU's clock");
        }
    }

    pub(super) fn lift_gpu(&mut self) {
        let Self { gpu, restraints, .. } = self;
        if let Err(error) = gpu.lift(|saved| restraints.set_gpu(saved)) {
            log::warn!(
                "heat: {}; the GPU's clock stays limited until it is set, for example with `bij power set`",
                bij_core::error_chain(&error)
            );
        }
    }
}
