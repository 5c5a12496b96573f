//! The kernel's counters of the control group that a hook runs in: the experiment's own.

use bij_cgroup::{CgroupRoot, Membership, Reading};

use crate::Place;

/// Reads them; `None`, with the reason in the log, if they cannot be found.
pub(crate) fn read_counters(place: &Place) -> Option<Reading> {
    let root = CgroupRoot::open(place.root().join("sys/fs/cgroup"))
        .inspect_err(|error| log::warn!("no counters of the kernel: {error}"))
        .ok()?;
    let own = Membership::of_process(&place.root().join("proc"), "self")
        .inspect_err(|error| log::warn!("cannot tell the own control group: {error}"))
        .ok()?;
    Some(root.of(&own).read())
}
