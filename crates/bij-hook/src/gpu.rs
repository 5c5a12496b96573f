//! What a unit with `[gpu] access` is given on this machine.
//!
//! Drivers come up while the machine boots, after drop-ins were rendered for the first time, and their
//! numbers are given anew at each boot. So what was found is part of the unit's stamp: a start that
//! finds something else has the unit rendered anew.

use std::hash::Hasher as _;
use std::thread;
use std::time::Duration;

use bij_core::definition::ExperimentSpec;
use bij_core::{Outcome, error_chain};
use bij_host::HostContext;
use bij_jetson::{GpuPolicy, Root, power_on};
use fnv::FnvHasher;

/// How often, and how many times, is looked for the nodes of a GPU that was just switched on: two
/// seconds in all.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 100;

/// What this machine's GPU needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuSettings(Vec<(&'static str, String)>);

impl GpuSettings {
    /// Looks for the GPU of a place.
    pub(crate) fn find(host: &HostContext) -> Self {
        // Without /proc nothing is known of a GPU, and a unit that gets none says so when it needs one.
        let policy = GpuPolicy::find(&Root::new(host.root()));
        Self(policy.map(|policy| policy.settings()).unwrap_or_default())
    }

    /// In systemd's words; empty if there is no GPU that is known.
    pub(crate) fn as_slice(&self) -> &[(&'static str, String)] {
        &self.0
    }

    /// Changes whenever the settings do: 16 hexadecimal digits.
    pub(crate) fn stamp(&self) -> String {
        let mut hasher = FnvHasher::default();
        for (directive, value) in &self.0 {
            hasher.write(directive.as_bytes());
            hasher.write(b"=");
            hasher.write(value.as_bytes());
            hasher.write(b"\n");
        }
        format!("{:016x}", hasher.finish())
    }
}

/// Whether a unit is given the GPU: a user's manager cannot give anybody what he does not have.
pub(crate) fn is_given(host: &HostContext, spec: &ExperimentSpec) -> bool {
    spec.gpu.access && !host.is_user()
}

/// Switches the GPU on for an experiment that is to use it, if it never was since boot: some of its
/// nodes are not there before. Whether it was switched on just now: then devices have come that the
/// unit has not been given yet.
pub(crate) fn wake(host: &HostContext, spec: &ExperimentSpec) -> bool {
    if !is_given(host, spec) {
        return false;
    }
    let id = &spec.id;
    let mut looks = 0;
    let again = || {
        thread::sleep(LOOK_EVERY);
        looks += 1;
        looks < LOOKS
    };
    match power_on(&Root::new(host.root()), again) {
        Ok(Outcome::Unchanged) => false,
        Ok(Outcome::Changed) => {
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "gpu-on";
                "the GPU was switched on for {id}, for the first time since boot"
            );
            true
        }
        Err(error) => {
            log::warn!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "gpu-off";
                "{id} starts, but may not find the GPU: {}", error_chain(&error)
            );
            false
        }
    }
}
