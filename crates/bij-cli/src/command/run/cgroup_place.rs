//! Where `bij --local run` has its experiments' control groups made.
//!
//! Where systemd runs, the group tree is systemd's, so the groups lie in a scope that systemd delegates:
//! PID 1 to root, an ordinary user's own manager to that user. Elsewhere the supervisor uses what can be
//! used without changing a group that holds other processes.

use std::path::Path;

use bij_cgroup::{CgroupRoot, Hierarchy};
use bij_local::CgroupPlace;
use bij_systemd::{DelegatedScope, RuntimeScope};

use crate::error::{CliError, Kind};

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What decides who makes the groups.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Whether systemd is PID 1: `/run/systemd/system` exists (`sd_booted(3)`).
    systemd: bool,
    /// Whether the caller is root.
    root: bool,
    /// The kind of tree, if one is mounted.
    hierarchy: Option<Hierarchy>,
    /// Whether it is mounted read-only.
    read_only: bool,
}

/// Who makes the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// This manager, as a delegated scope.
    Scope(RuntimeScope),
    /// The supervisor, where it finds a place.
    Supervisor,
    /// No one, for this reason.
    Nowhere(&'static str),
}

fn decide(facts: Facts) -> Source {
    let Facts { systemd, root, hierarchy, read_only } = facts;
    match hierarchy {
        None => Source::Nowhere("no control groups are mounted at /sys/fs/cgroup"),
        Some(_) if read_only => Source::Nowhere("/sys/fs/cgroup is mounted read-only"),
        Some(_) if !systemd => Source::Supervisor,
        Some(_) if root => Source::Scope(RuntimeScope::System),
        Some(Hierarchy::Unified) => Source::Scope(RuntimeScope::User),
        // systemd delegates no controllers of version 1 to users, because that is not safe
        // (CGROUP_DELEGATION.md, "Delegation").
        Some(Hierarchy::Hybrid | Hierarchy::Legacy) => {
            Source::Nowhere("with control groups of version 1 only root can have one")
        }
    }
}

/// Decides where the groups are made, and moves this process into a scope if that is where.
pub(super) async fn cgroup_place() -> CgroupPlace {
    let tree = CgroupRoot::open(CGROUPS).ok();
    let facts = Facts {
        systemd: Path::new("/run/systemd/system").is_dir(),
        root: nix::unistd::geteuid().is_root(),
        hierarchy: tree.as_ref().map(CgroupRoot::hierarchy),
        read_only: tree.as_ref().is_some_and(CgroupRoot::is_read_only),
    };
    match decide(facts) {
        Source::Supervisor => CgroupPlace::Found,
        Source::Nowhere(reason) => CgroupPlace::Nowhere(reason.to_owned()),
        Source::Scope(scope) => match DelegatedScope::enter(scope, "bij-local").await {
            Ok(_) => CgroupPlace::Delegated,
            Err(error) => CgroupPlace::Nowhere(CliError::of(Kind::Internal, &error).in_one_line()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(systemd: bool, root: bool, hierarchy: Hierarchy) -> Source {
        decide(Facts { systemd, root, hierarchy: Some(hierarchy), read_only: false })
    }

    #[test]
    fn where_systemd_runs_the_groups_are_systemds_to_give() {
        use Hierarchy::{Hybrid, Legacy, Unified};
        assert_eq!(source(true, false, Unified), Source::Scope(RuntimeScope::User));
        for hierarchy in [Unified, Hybrid, Legacy] {
            assert_eq!(source(true, true, hierarchy), Source::Scope(RuntimeScope::System));
            assert_eq!(source(false, true, hierarchy), Source::Supervisor);
            assert_eq!(source(false, false, hierarchy), Source::Supervisor);
        }
        for hierarchy in [Hybrid, Legacy] {
            let decided = source(true, false, hierarchy);
            assert!(matches!(decided, Source::Nowhere(_)), "{hierarchy:?}: {decided:?}");
        }
    }

    #[test]
    fn a_tree_that_cannot_be_written_is_asked_of_no_manager() {
        for (systemd, root) in [(false, false), (false, true), (true, false), (true, true)] {
            let facts = Facts { systemd, root, hierarchy: None, read_only: false };
            assert!(matches!(decide(facts), Source::Nowhere(_)), "{facts:?}");
            let hierarchy = Some(Hierarchy::Unified);
            let facts = Facts { systemd, root, hierarchy, read_only: true };
            assert!(matches!(decide(facts), Source::Nowhere(_)), "{facts:?}");
        }
    }
}
