//! Decides where `bij --local run` creates the control groups of its experiments.
//!
//! Under systemd the group tree is systemd's, so the groups are created in a scope that systemd delegates:
//! PID 1 to root, a user's own manager to that user. Elsewhere the supervisor creates them where it need not
//! change a group that has other processes.

use std::path::Path;

use bij_cgroup::{CgroupRoot, Hierarchy};
use bij_local::CgroupLocation;
use bij_systemd::{DelegatedScope, RuntimeScope};

use crate::error::{CliError, Kind};

/// The facts that decide where the groups are created.
#[derive(Clone, Copy, Debug)]
struct CgroupFacts {
    /// Whether systemd is PID 1: `/run/systemd/system` exists (`sd_booted(3)`).
    systemd: bool,
    /// Whether the caller is root.
    root: bool,
    /// The version of the tree, if one is mounted.
    hierarchy: Option<Hierarchy>,
    /// Whether it is mounted read-only.
    read_only: bool,
}

/// Where the groups are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CgroupChoice {
    /// In a scope that this manager delegates.
    Scope(RuntimeScope),
    /// In a group that the supervisor chooses.
    Supervisor,
    /// Nowhere, for this reason.
    Nowhere(&'static str),
}

fn decide(facts: CgroupFacts) -> CgroupChoice {
    let CgroupFacts { systemd, root, hierarchy, read_only } = facts;
    match hierarchy {
        None => CgroupChoice::Nowhere("no control groups are mounted at /sys/fs/cgroup"),
        Some(_) if read_only => CgroupChoice::Nowhere("/sys/fs/cgroup is mounted read-only"),
        Some(_) if !systemd => CgroupChoice::Supervisor,
        Some(_) if root => CgroupChoice::Scope(RuntimeScope::System),
        Some(Hierarchy::Unified) => CgroupChoice::Scope(RuntimeScope::User),
        // systemd delegates no controllers of version 1 to users, because that is not safe
        // (CGROUP_DELEGATION.md, "Delegation").
        Some(Hierarchy::Hybrid | Hierarchy::Legacy) => {
            CgroupChoice::Nowhere("control groups of version 1 are available to root only")
        }
    }
}

/// Returns where the groups are created; enters a delegated scope if they are created there.
pub(super) async fn cgroup_location() -> CgroupLocation {
    let tree = CgroupRoot::open(CgroupRoot::MOUNT_POINT).ok();
    let facts = CgroupFacts {
        systemd: Path::new("/run/systemd/system").is_dir(),
        root: nix::unistd::geteuid().is_root(),
        hierarchy: tree.as_ref().map(CgroupRoot::hierarchy),
        read_only: tree.as_ref().is_some_and(CgroupRoot::is_read_only),
    };
    match decide(facts) {
        CgroupChoice::Supervisor => CgroupLocation::Found,
        CgroupChoice::Nowhere(reason) => CgroupLocation::Nowhere(reason.to_owned()),
        CgroupChoice::Scope(scope) => match DelegatedScope::enter(scope, "bij-local").await {
            Ok(_) => CgroupLocation::Delegated,
            Err(error) => {
                CgroupLocation::Nowhere(CliError::from_error(Kind::Internal, &error).in_one_line())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(systemd: bool, root: bool, hierarchy: Hierarchy) -> CgroupChoice {
        decide(CgroupFacts { systemd, root, hierarchy: Some(hierarchy), read_only: false })
    }

    #[test]
    fn under_systemd_groups_are_created_in_a_delegated_scope() {
        use Hierarchy::{Hybrid, Legacy, Unified};
        assert_eq!(parent(true, false, Unified), CgroupChoice::Scope(RuntimeScope::User));
        for hierarchy in [Unified, Hybrid, Legacy] {
            assert_eq!(parent(true, true, hierarchy), CgroupChoice::Scope(RuntimeScope::System));
            assert_eq!(parent(false, true, hierarchy), CgroupChoice::Supervisor);
            assert_eq!(parent(false, false, hierarchy), CgroupChoice::Supervisor);
        }
        for hierarchy in [Hybrid, Legacy] {
            let decided = parent(true, false, hierarchy);
            assert!(matches!(decided, CgroupChoice::Nowhere(_)), "{hierarchy:?}: {decided:?}");
        }
    }

    #[test]
    fn in_a_tree_that_cannot_be_written_no_groups_are_created() {
        for (systemd, root) in [(false, false), (false, true), (true, false), (true, true)] {
            let facts = CgroupFacts { systemd, root, hierarchy: None, read_only: false };
            assert!(matches!(decide(facts), CgroupChoice::Nowhere(_)), "{facts:?}");
            let hierarchy = Some(Hierarchy::Unified);
            let facts = CgroupFacts { systemd, root, hierarchy, read_only: true };
            assert!(matches!(decide(facts), CgroupChoice::Nowhere(_)), "{facts:?}");
        }
    }
}
