//! The settings of a unit with `[gpu] access` on this machine.
//!
//! GPU drivers load during the boot, after the first rendering of drop-ins, and their device numbers change with each
//! boot. So these settings are part of the unit's stamp: a start that finds other settings renders the unit again.

use std::hash::Hasher as _;
use std::thread;
use std::time::Duration;

use bij_core::spec::ExperimentSpec;
use bij_core::{Outcome, error_chain};
use bij_host::HostContext;
use bij_jetson::{GpuPolicy, Root, power_on};
use fnv::FnvHasher;

/// Interval and number of checks for the nodes of a GPU that was just switched on: two seconds in all.
const NODE_POLL_INTERVAL: Duration = Duration::from_millis(20);
const NODE_POLLS: u32 = 100;

/// The unit settings that give access to this machine's GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuSettings(Vec<(&'static str, String)>);

impl GpuSettings {
    /// Finds the GPU of a machine.
    pub(crate) fn find(host: &HostContext) -> Self {
        // Without /proc no GPU can be found; an experiment that needs one then fails by itself.
        let policy = GpuPolicy::find(&Root::new(host.root()));
        Self(policy.map(|policy| policy.settings()).unwrap_or_default())
    }

    /// Returns the settings as names and values of systemd; empty without a known GPU.
    pub(crate) fn as_slice(&self) -> &[(&'static str, String)] {
        &self.0
    }

    /// Returns 16 hexadecimal digits that change whenever the settings do.
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

/// Returns whether a unit gets access to the GPU. A user's manager cannot grant rights that the user lacks.
pub(crate) fn may_use_gpu(host: &HostContext, spec: &ExperimentSpec) -> bool {
    spec.gpu.access && !host.is_user()
}

/// Switches the GPU on for an experiment that uses it, if it was never on since boot, because some of its nodes do not
/// exist before. Returns whether it was switched on now, so that there are new devices.
pub(crate) fn power_on_gpu(host: &HostContext, spec: &ExperimentSpec) -> bool {
    if !may_use_gpu(host, spec) {
        return false;
    }
    let id = &spec.id;
    let mut polls = 0;
    let again = || {
        thread::sleep(NODE_POLL_INTERVAL);
        polls += 1;
        polls < NODE_POLLS
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
