//! Decides where control groups can be created in version 2.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Delegation, LEAF, ParentError};
use crate::Controller;

/// Controllers that limits need (version 2 has no `cpuacct`).
const WANTED: [Controller; 4] =
    [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::CpuSet];

/// Suffixes of groups that systemd created for a unit. Only systemd may change such a group, unless it is
/// delegated (`CGROUP_DELEGATION.md`, the single-writer rule).
const UNITS: [&str; 3] = [".slice", ".scope", ".service"];

/// One group of the version 2 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupState {
    /// The last part of its path; `None` for the root of the mount.
    pub(super) name: Option<String>,
    pub(super) kind: GroupType,
    /// Processes in the group itself; 0 stands for those of other PID namespaces.
    pub(super) processes: Vec<u32>,
    /// Controllers that the group can enable: `cgroup.controllers`.
    pub(super) available: BTreeSet<Controller>,
    /// Controllers of the groups below it: `cgroup.subtree_control`.
    pub(super) enabled: BTreeSet<Controller>,
    /// Whether the caller can create groups in it and move processes there.
    pub(super) writable: bool,
}

/// Type of the group from `cgroup.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupType {
    /// The root of the whole tree, which has no such file and may hold processes as well as groups.
    RealRoot,
    Domain,
    /// `domain threaded`, `domain invalid` or `threaded`.
    Other(String),
}

/// The input of the decision.
#[derive(Clone, Debug)]
pub(super) struct ParentSituation {
    /// The group of the caller.
    pub(super) own: GroupState,
    /// The group above it, if the mount shows one.
    pub(super) above: Option<GroupState>,
    /// Process id of the caller in its own PID namespace.
    pub(super) pid: u32,
}

/// Where groups can be created, and what has to be done first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ParentPlan {
    /// Below the caller's group, which enables memory already.
    Below,
    /// Below the group above it.
    Beside,
    /// Below the caller's group, after the caller has moved into a leaf of it.
    MoveIntoLeaf {
        /// Controllers to enable for groups below it.
        controllers: Vec<Controller>,
    },
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ParentRefusal {
    Elsewhere,
    Shared,
    Threaded(String),
    NoMemory,
    NotWritable,
}

impl ParentRefusal {
    /// Converts it to the error about the caller's group.
    pub(super) fn into_error(self, group: &Path) -> ParentError {
        let path = group.to_owned();
        match self {
            Self::Elsewhere => ParentError::Elsewhere { root: path },
            Self::Shared => ParentError::Shared { path },
            Self::Threaded(kind) => ParentError::Threaded { path, kind },
            Self::NoMemory => ParentError::NoMemory { path },
            Self::NotWritable => ParentError::NotWritable { path },
        }
    }
}

/// Decides where groups can be created without changing a group that holds other processes.
pub(super) fn decide(
    situation: &ParentSituation,
    delegation: Delegation,
) -> Result<ParentPlan, ParentRefusal> {
    let ParentSituation { own, above, pid } = situation;
    if !own.processes.contains(pid) {
        return Err(ParentRefusal::Elsewhere);
    }
    let beside = above.as_ref().filter(|above| above.can_hold_limited_groups());
    if beside.is_some() && own.name.as_deref() == Some(LEAF) {
        // This process has moved into the leaf before.
        return Ok(ParentPlan::Beside);
    }
    match (&own.kind, delegation) {
        (GroupType::RealRoot, _) if own.can_hold_limited_groups() => Ok(ParentPlan::Below),
        (GroupType::RealRoot, _) => Err(own.memory_refusal().unwrap_or(ParentRefusal::NoMemory)),
        (GroupType::Other(kind), _) => Err(ParentRefusal::Threaded(kind.clone())),
        (GroupType::Domain, Delegation::Delegated) => move_into_leaf(own, *pid),
        (GroupType::Domain, Delegation::Unknown) => {
            if beside.is_some_and(|above| !above.is_unit() && !own.is_unit()) {
                return Ok(ParentPlan::Beside);
            }
            // When the first process of a container ends, the kernel kills all others and the group is
            // removed: no later process finds it changed.
            if *pid == 1 { move_into_leaf(own, *pid) } else { Err(ParentRefusal::Shared) }
        }
    }
}

fn move_into_leaf(own: &GroupState, pid: u32) -> Result<ParentPlan, ParentRefusal> {
    if own.processes != [pid] {
        return Err(ParentRefusal::Shared);
    }
    if let Some(refusal) = own.memory_refusal() {
        return Err(refusal);
    }
    let wanted = WANTED.into_iter().filter(|controller| own.available.contains(controller));
    Ok(ParentPlan::MoveIntoLeaf { controllers: wanted.collect() })
}

impl GroupState {
    /// Whether groups with a memory limit can be created in it without a change.
    fn can_hold_limited_groups(&self) -> bool {
        self.writable && self.enabled.contains(&Controller::Memory)
    }

    /// Returns the reason why it can never enable memory for groups below it.
    fn memory_refusal(&self) -> Option<ParentRefusal> {
        if !self.writable {
            Some(ParentRefusal::NotWritable)
        } else if !self.available.contains(&Controller::Memory) {
            Some(ParentRefusal::NoMemory)
        } else {
            None
        }
    }

    fn is_unit(&self) -> bool {
        self.name.as_deref().is_some_and(|name| UNITS.iter().any(|suffix| name.ends_with(suffix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 100;

    fn group(name: &str, processes: &[u32]) -> GroupState {
        GroupState {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            kind: GroupType::Domain,
            processes: processes.to_vec(),
            available: WANTED.into(),
            enabled: BTreeSet::new(),
            writable: true,
        }
    }

    fn enabling_group(name: &str) -> GroupState {
        GroupState { enabled: WANTED.into(), ..group(name, &[]) }
    }

    fn situation(own: GroupState, above: GroupState) -> ParentSituation {
        ParentSituation { own, above: Some(above), pid: PID }
    }

    fn leaf_plan() -> ParentPlan {
        ParentPlan::MoveIntoLeaf { controllers: WANTED.to_vec() }
    }

    #[test]
    fn a_group_with_other_processes_is_never_changed() {
        for others in [&[99, PID][..], &[PID, 101], &[0, PID]] {
            for delegation in [Delegation::Delegated, Delegation::Unknown] {
                for pid in [PID, 1] {
                    let own = group("shell", &[&[pid][..], others].concat());
                    let situation = ParentSituation { own, above: Some(group("", &[])), pid };
                    assert_eq!(
                        decide(&situation, delegation),
                        Err(ParentRefusal::Shared),
                        "{situation:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_delegated_group_is_divided_below() {
        let situation = situation(group("bij.scope", &[PID]), enabling_group("system.slice"));
        assert_eq!(decide(&situation, Delegation::Delegated), Ok(leaf_plan()));
        assert_eq!(
            decide(&situation, Delegation::Unknown),
            Err(ParentRefusal::Shared),
            "nothing is delegated"
        );
    }

    #[test]
    fn a_second_parent_of_one_process_finds_the_first() {
        let situation = situation(group(LEAF, &[PID]), enabling_group("bij.scope"));
        for delegation in [Delegation::Delegated, Delegation::Unknown] {
            assert_eq!(decide(&situation, delegation), Ok(ParentPlan::Beside));
        }
    }

    #[test]
    fn groups_are_made_beside_where_the_group_above_enables_memory() {
        let (shell, root) = (group("init", &[1, PID]), enabling_group(""));
        let decided = |own: &GroupState, above: &GroupState| {
            decide(&situation(own.clone(), above.clone()), Delegation::Unknown)
        };
        assert_eq!(decided(&shell, &root), Ok(ParentPlan::Beside));
        let closed = GroupState { writable: false, ..root.clone() };
        assert_eq!(decided(&shell, &closed), Err(ParentRefusal::Shared));
        // Not beside a unit: that group is systemd's.
        assert_eq!(decided(&shell, &enabling_group("system.slice")), Err(ParentRefusal::Shared));
        assert_eq!(decided(&group("x.service", &[1, PID]), &root), Err(ParentRefusal::Shared));
    }

    #[test]
    fn only_the_first_process_of_a_container_moves_in_an_undelegated_group() {
        let root = GroupState { name: None, ..group("", &[1]) };
        let first = ParentSituation { own: root, above: None, pid: 1 };
        assert_eq!(decide(&first, Delegation::Unknown), Ok(leaf_plan()));
        let own = group("mine", &[PID]);
        let other = situation(own, group("", &[]));
        assert_eq!(decide(&other, Delegation::Unknown), Err(ParentRefusal::Shared));
    }

    #[test]
    fn the_real_root_is_used_as_it_is_or_not_at_all() {
        let root = |enabled: &[Controller]| ParentSituation {
            own: GroupState {
                kind: GroupType::RealRoot,
                enabled: enabled.iter().copied().collect(),
                ..group("", &[1, 2, PID])
            },
            above: None,
            pid: PID,
        };
        assert_eq!(decide(&root(&WANTED), Delegation::Unknown), Ok(ParentPlan::Below));
        assert_eq!(
            decide(&root(&[Controller::Pids]), Delegation::Unknown),
            Err(ParentRefusal::NoMemory)
        );
    }

    #[test]
    fn every_refusal_has_its_own_reason() {
        let decided = |own: GroupState| {
            decide(&situation(own, enabling_group("system.slice")), Delegation::Delegated)
                .unwrap_err()
        };
        let own = || group("bij.scope", &[PID]);
        assert_eq!(decided(GroupState { processes: vec![7], ..own() }), ParentRefusal::Elsewhere);
        assert_eq!(decided(GroupState { writable: false, ..own() }), ParentRefusal::NotWritable);
        let available = BTreeSet::from([Controller::Pids]);
        assert_eq!(decided(GroupState { available, ..own() }), ParentRefusal::NoMemory);
        let kind = || "domain threaded".to_owned();
        let threaded = GroupState { kind: GroupType::Other(kind()), ..own() };
        assert_eq!(decided(threaded), ParentRefusal::Threaded(kind()));
    }
}
