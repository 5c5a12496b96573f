//! The decision where control groups can be made in version 2.

use std::collections::BTreeSet;
use std::path::Path;

use super::{LEAF, ParentError, Tenure};
use crate::Controller;

/// Controllers that limits need, and that a group can hand down (version 2 has no `cpuacct`).
const WANTED: [Controller; 4] =
    [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::CpuSet];

/// Suffixes of groups that systemd made for a unit: what lies in such a group, and is not delegated, is
/// systemd's to change (`CGROUP_DELEGATION.md`, the single-writer rule).
const UNITS: [&str; 3] = [".slice", ".scope", ".service"];

/// One group of the version 2 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The last part of its path; `None` for the root of the mount.
    pub(super) name: Option<String>,
    pub(super) kind: GroupType,
    /// Processes in the group itself; 0 stands for those of other PID namespaces.
    pub(super) processes: Vec<u32>,
    /// `cgroup.controllers`.
    pub(super) available: BTreeSet<Controller>,
    /// `cgroup.subtree_control`.
    pub(super) handed_down: BTreeSet<Controller>,
    /// Whether the caller may make groups in it and move processes there.
    pub(super) writable: bool,
}

/// `cgroup.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupType {
    /// The root of the whole tree, which has no such file and may hold processes beside its children.
    RealRoot,
    Domain,
    /// `domain threaded`, `domain invalid` or `threaded`.
    Other(String),
}

/// All that the decision depends on.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// The caller's group.
    pub(super) own: Group,
    /// The group above it, if the mount shows one.
    pub(super) above: Option<Group>,
    /// The caller, in its own PID namespace.
    pub(super) pid: u32,
}

/// Where groups can be made, and what has to be done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Below the caller's group, which hands memory down already.
    Below,
    /// Below the group above it.
    Beside,
    /// Below the caller's group, after the caller has moved into a leaf of it.
    MoveAside {
        /// What the group then hands down.
        controllers: Vec<Controller>,
    },
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Elsewhere,
    Shared,
    Threaded(String),
    NoMemory,
    NotWritable,
}

impl Refusal {
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

/// Decides where groups can be made such that no group with other processes in it is changed.
pub(super) fn decide(around: &Surroundings, tenure: Tenure) -> Result<Plan, Refusal> {
    let Surroundings { own, above, pid } = around;
    if !own.processes.contains(pid) {
        return Err(Refusal::Elsewhere);
    }
    let beside = above.as_ref().filter(|above| above.takes_groups());
    if beside.is_some() && own.name.as_deref() == Some(LEAF) {
        // This process has moved there before.
        return Ok(Plan::Beside);
    }
    match (&own.kind, tenure) {
        (GroupType::RealRoot, _) if own.takes_groups() => Ok(Plan::Below),
        (GroupType::RealRoot, _) => Err(own.why_not().unwrap_or(Refusal::NoMemory)),
        (GroupType::Other(kind), _) => Err(Refusal::Threaded(kind.clone())),
        (GroupType::Domain, Tenure::Delegated) => move_aside(own, *pid),
        (GroupType::Domain, Tenure::Unknown) => {
            if beside.is_some_and(|above| !above.is_unit() && !own.is_unit()) {
                return Ok(Plan::Beside);
            }
            // The first process of a container takes all others with it when it ends, and with them
            // the container's group: nobody finds that changed.
            if *pid == 1 { move_aside(own, *pid) } else { Err(Refusal::Shared) }
        }
    }
}

fn move_aside(own: &Group, pid: u32) -> Result<Plan, Refusal> {
    if own.processes != [pid] {
        return Err(Refusal::Shared);
    }
    if let Some(refusal) = own.why_not() {
        return Err(refusal);
    }
    let wanted = WANTED.into_iter().filter(|controller| own.available.contains(controller));
    Ok(Plan::MoveAside { controllers: wanted.collect() })
}

impl Group {
    /// Whether groups with a memory limit can be made in it as it is.
    fn takes_groups(&self) -> bool {
        self.writable && self.handed_down.contains(&Controller::Memory)
    }

    /// What keeps it from ever handing memory down.
    fn why_not(&self) -> Option<Refusal> {
        if !self.writable {
            Some(Refusal::NotWritable)
        } else if !self.available.contains(&Controller::Memory) {
            Some(Refusal::NoMemory)
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

    fn group(name: &str, processes: &[u32]) -> Group {
        Group {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            kind: GroupType::Domain,
            processes: processes.to_vec(),
            available: WANTED.into(),
            handed_down: BTreeSet::new(),
            writable: true,
        }
    }

    fn handing_down(name: &str) -> Group {
        Group { handed_down: WANTED.into(), ..group(name, &[]) }
    }

    fn around(own: Group, above: Group) -> Surroundings {
        Surroundings { own, above: Some(above), pid: PID }
    }

    fn aside() -> Plan {
        Plan::MoveAside { controllers: WANTED.to_vec() }
    }

    #[test]
    fn a_group_with_other_processes_is_never_changed() {
        for others in [&[99, PID][..], &[PID, 101], &[0, PID]] {
            for tenure in [Tenure::Delegated, Tenure::Unknown] {
                for pid in [PID, 1] {
                    let own = group("shell", &[&[pid][..], others].concat());
                    let around = Surroundings { own, above: Some(group("", &[])), pid };
                    assert_eq!(decide(&around, tenure), Err(Refusal::Shared), "{around:?}");
                }
            }
        }
    }

    #[test]
    fn a_delegated_group_is_divided_below() {
        let around = around(group("bij.scope", &[PID]), handing_down("system.slice"));
        assert_eq!(decide(&around, Tenure::Delegated), Ok(aside()));
        assert_eq!(decide(&around, Tenure::Unknown), Err(Refusal::Shared), "nothing is delegated");
    }

    #[test]
    fn a_second_parent_of_one_process_finds_the_first() {
        let around = around(group(LEAF, &[PID]), handing_down("bij.scope"));
        for tenure in [Tenure::Delegated, Tenure::Unknown] {
            assert_eq!(decide(&around, tenure), Ok(Plan::Beside));
        }
    }

    #[test]
    fn groups_are_made_beside_where_memory_is_handed_down_already() {
        let (shell, root) = (group("init", &[1, PID]), handing_down(""));
        let decided = |own: &Group, above: &Group| {
            decide(&around(own.clone(), above.clone()), Tenure::Unknown)
        };
        assert_eq!(decided(&shell, &root), Ok(Plan::Beside));
        let closed = Group { writable: false, ..root.clone() };
        assert_eq!(decided(&shell, &closed), Err(Refusal::Shared));
        // Not beside a unit: that group is systemd's.
        assert_eq!(decided(&shell, &handing_down("system.slice")), Err(Refusal::Shared));
        assert_eq!(decided(&group("x.service", &[1, PID]), &root), Err(Refusal::Shared));
    }

    #[test]
    fn only_the_first_process_of_a_container_moves_aside_undelegated() {
        let root = Group { name: None, ..group("", &[1]) };
        let first = Surroundings { own: root, above: None, pid: 1 };
        assert_eq!(decide(&first, Tenure::Unknown), Ok(aside()));
        let own = group("mine", &[PID]);
        let other = around(own, group("", &[]));
        assert_eq!(decide(&other, Tenure::Unknown), Err(Refusal::Shared));
    }

    #[test]
    fn the_real_root_is_used_as_it_is_or_not_at_all() {
        let root = |handed_down: &[Controller]| Surroundings {
            own: Group {
                kind: GroupType::RealRoot,
                handed_down: handed_down.iter().copied().collect(),
                ..group("", &[1, 2, PID])
            },
            above: None,
            pid: PID,
        };
        assert_eq!(decide(&root(&WANTED), Tenure::Unknown), Ok(Plan::Below));
        assert_eq!(decide(&root(&[Controller::Pids]), Tenure::Unknown), Err(Refusal::NoMemory));
    }

    #[test]
    fn what_cannot_be_had_is_refused_for_its_own_reason() {
        let decided = |own: Group| {
            decide(&around(own, handing_down("system.slice")), Tenure::Delegated).unwrap_err()
        };
        let own = || group("bij.scope", &[PID]);
        assert_eq!(decided(Group { processes: vec![7], ..own() }), Refusal::Elsewhere);
        assert_eq!(decided(Group { writable: false, ..own() }), Refusal::NotWritable);
        let available = BTreeSet::from([Controller::Pids]);
        assert_eq!(decided(Group { available, ..own() }), Refusal::NoMemory);
        let kind = || "domain threaded".to_owned();
        let threaded = Group { kind: GroupType::Other(kind()), ..own() };
        assert_eq!(decided(threaded), Refusal::Threaded(kind()));
    }
}
