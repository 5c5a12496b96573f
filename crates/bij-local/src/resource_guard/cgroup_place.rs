//! The parent of the cgroups that are made for experiments.

use std::path::Path;

use bij_cgroup::{CgroupRoot, Delegation, Membership, ParentCgroup};
use bij_core::error_chain;

use super::Backend;

/// Where a supervisor makes cgroups for its experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CgroupPlace {
    /// Below the group of this process, which was made for this process alone: a systemd scope with
    /// `Delegate=yes`.
    Delegated,
    /// Where this process may make groups without changing one that holds other processes.
    #[default]
    Found,
    /// Nowhere, for this reason: a fragment such as "systemd is not reachable".
    Nowhere(String),
}

/// The mounted cgroup tree and the parent of the cgroups made in it.
#[derive(Debug)]
pub(crate) struct CgroupParent {
    root: Option<CgroupRoot>,
    parent: Result<ParentCgroup, String>,
}

impl CgroupParent {
    /// Finds the parent, unless the backend needs no cgroups.
    pub(crate) fn find(cgroups: &Path, place: &CgroupPlace, backend: Backend) -> Self {
        let root = CgroupRoot::open(cgroups);
        let tenure = match (backend, place) {
            (Backend::Watcher, _) => Err("the watcher was chosen".to_owned()),
            (_, CgroupPlace::Nowhere(reason)) => Err(reason.clone()),
            (_, CgroupPlace::Delegated) => Ok(Delegation::Delegated),
            (_, CgroupPlace::Found) => Ok(Delegation::Unknown),
        };
        let parent = match (tenure, &root) {
            (Ok(tenure), Ok(root)) => parent(root, tenure),
            (Ok(_), Err(error)) => Err(error_chain(error)),
            (Err(reason), _) => Err(reason),
        };
        Self { root: root.ok(), parent }
    }

    /// Returns the mounted cgroup tree, if there is one.
    pub(crate) fn root(&self) -> Option<&CgroupRoot> {
        self.root.as_ref()
    }

    /// Returns the parent of new cgroups, or the reason why there is none.
    pub(super) fn parent(&self) -> Result<&ParentCgroup, &str> {
        self.parent.as_ref().map_err(String::as_str)
    }
}

fn parent(root: &CgroupRoot, tenure: Delegation) -> Result<ParentCgroup, String> {
    let own = Membership::of_process(Path::new("/proc"), "self")
        .map_err(|error| format!("cannot read /proc/self/cgroup: {error}"))?;
    ParentCgroup::open(root.clone(), &own, tenure).map_err(|error| error_chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_why_there_is_no_parent_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let reason = |place: &CgroupPlace, backend| {
            let parent = CgroupParent::find(dir.path(), place, backend);
            parent.parent().map(drop).unwrap_err().to_owned()
        };
        let nowhere = CgroupPlace::Nowhere("systemd is not reachable".to_owned());
        assert_eq!(reason(&nowhere, Backend::Auto), "systemd is not reachable");
        let unmounted = reason(&CgroupPlace::Found, Backend::Cgroup);
        assert!(unmounted.starts_with("no control groups are mounted at"), "{unmounted}");
        assert_eq!(reason(&CgroupPlace::Delegated, Backend::Watcher), "the watcher was chosen");
    }
}
