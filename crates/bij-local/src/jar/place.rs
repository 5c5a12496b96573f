//! Where the cgroups of experiments are made.

use std::path::Path;

use bij_cgroup::{CgroupRoot, Membership, Ownership, ParentCgroup};

use super::{Backend, chain};

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

/// Where cgroups are mounted, and the parent of those that are made.
#[derive(Debug)]
pub(crate) struct Place {
    root: Option<CgroupRoot>,
    parent: Result<ParentCgroup, String>,
}

impl Place {
    /// Finds the parent, unless no cgroups are wanted.
    pub(crate) fn find(cgroups: &Path, place: &CgroupPlace, backend: Backend) -> Self {
        let root = CgroupRoot::open(cgroups);
        let tenure = match (backend, place) {
            (Backend::Watcher, _) => Err("none are wanted".to_owned()),
            (_, CgroupPlace::Nowhere(reason)) => Err(reason.clone()),
            (_, CgroupPlace::Delegated) => Ok(Ownership::Delegated),
            (_, CgroupPlace::Found) => Ok(Ownership::Unknown),
        };
        let parent = match (tenure, &root) {
            (Ok(tenure), Ok(root)) => parent(root, tenure),
            (Ok(_), Err(error)) => Err(chain(error)),
            (Err(reason), _) => Err(reason),
        };
        Self { root: root.ok(), parent }
    }

    /// Where cgroups are mounted, if they are.
    pub(crate) fn root(&self) -> Option<&CgroupRoot> {
        self.root.as_ref()
    }

    /// The parent of new cgroups, or why there is none.
    pub(super) fn parent(&self) -> Result<&ParentCgroup, &str> {
        self.parent.as_ref().map_err(String::as_str)
    }
}

fn parent(root: &CgroupRoot, tenure: Ownership) -> Result<ParentCgroup, String> {
    let own = Membership::of_process(Path::new("/proc"), "self")
        .map_err(|error| format!("cannot read /proc/self/cgroup: {error}"))?;
    ParentCgroup::open(root.clone(), &own, tenure).map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_why_there_is_no_parent_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let reason = |place: &CgroupPlace, backend| {
            let place = Place::find(dir.path(), place, backend);
            place.parent().map(drop).unwrap_err().to_owned()
        };
        let nowhere = CgroupPlace::Nowhere("systemd is not reachable".to_owned());
        assert_eq!(reason(&nowhere, Backend::Auto), "systemd is not reachable");
        let unmounted = reason(&CgroupPlace::Found, Backend::Cgroup);
        assert!(unmounted.starts_with("no control groups are mounted at"), "{unmounted}");
        assert_eq!(reason(&CgroupPlace::Delegated, Backend::Watcher), "none are wanted");
    }
}
