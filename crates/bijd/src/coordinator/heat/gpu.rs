//! The GPU's clock in the hands of the heat watch.

use bij_coordinator::heat::Living;
use bij_coordinator::{Ports, RunningExperiments};
use bij_core::Hertz;

use super::Watch;

impl<P: Ports> Watch<P> {
    /// How the GPU's clock stands, if it is any use and may be bounded.
    pub(super) fn look_at_gpu(&mut self, lives: &RunningExperiments, living: &mut [Living]) {
        if !lives.cap_gpu.unwrap_or(self.is_jetson) {
            self.lift_gpu();
            self.gpu.look_away();
        } else if self.gpu.held().is_some() || living.iter().any(|one| one.can_cap_gpu) {
            if let Some(theirs) = self.gpu.look() {
                log::info!(
                    "heat: somebody has set the GPU's clock to {theirs}; that is left alone"
                );
                self.in_force.set_gpu(None);
            }
        } else {
            self.gpu.look_away();
        }
        let can_cap = self.gpu.seen().is_some();
        for one in living {
            one.can_cap_gpu &= can_cap;
        }
    }

    pub(super) fn cap_gpu(&mut self, to: Hertz) {
        let Self { gpu, in_force, .. } = self;
        if let Err(error) = gpu.cap(to, |held| in_force.set_gpu(held)) {
            let told = bij_core::error_chain(&error);
            log::warn!("heat: {told}; the ladder does without the GPU's clock from now on");
        }
    }

    pub(super) fn lift_gpu(&mut self) {
        let Self { gpu, in_force, .. } = self;
        if let Err(error) = gpu.lift(|held| in_force.set_gpu(held)) {
            log::warn!(
                "heat: {}; the GPU's clock stays bounded until somebody sets it, for example by \
                 `bij power set`",
                bij_core::error_chain(&error)
            );
        }
    }
}
