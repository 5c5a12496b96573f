//! The kernel's counters of the control group that a hook runs in: the experiment's own.

use bij_cgroup::{CgroupReading, CgroupRoot, Membership};
use bij_core::ExperimentId;
use bij_host::HostContext;

/// Reads the counters; `None`, with the reason in the log, if they cannot be found.
///
/// In a hierarchy where the unit has no group of its own (in a container, or for a controller that is not enabled),
/// the counters include other processes and prove nothing, so they are left out.
pub(crate) fn read_counters(host: &HostContext, id: &ExperimentId) -> Option<CgroupReading> {
    let root = CgroupRoot::open(host.root().join("sys/fs/cgroup"))
        .inspect_err(|error| log::warn!("cannot read the kernel's counters: {error}"))
        .ok()?;
    let own = Membership::of_process(&host.root().join("proc"), "self")
        .inspect_err(|error| log::warn!("cannot find the own control group: {error}"))
        .ok()?;
    let unit = id.unit_name();
    let own = own.only(|path| path.to_string().split('/').any(|part| part == unit));
    Some(root.for_membership(&own).read())
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn counters_of_a_shared_group_are_left_out() {
        let machine = Machine::new();
        machine.counters("memory.events", "max 1\noom_kill 7\n");
        let read = || super::read_counters(&machine.host, &machine.id).unwrap();
        assert_eq!(read().oom_kills, Some(7));
        machine.write("proc/self/cgroup", "0::/brain.slice\n");
        machine.write("sys/fs/cgroup/brain.slice/memory.events", "max 1\noom_kill 7\n");
        assert_eq!(read().oom_kills, None);
    }
}
