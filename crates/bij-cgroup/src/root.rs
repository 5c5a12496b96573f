//! The directory in which control groups are mounted, their version and their controllers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use thiserror::Error;

use crate::{Cgroup, CgroupPath, Membership};

/// Versions of control groups in use on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hierarchy {
    /// Version 2: one tree for all controllers.
    Unified,
    /// Version 1 controllers, and a version 2 tree without controllers beside them.
    Hybrid,
    /// Version 1 controllers without a version 2 tree.
    Legacy,
}

/// No control groups are mounted in a directory.
#[derive(Debug, Error)]
#[error("no control groups are mounted at {}", path.display())]
pub struct RootError {
    /// The directory that was opened.
    pub path: PathBuf,
}

/// The directory in which control groups are mounted.
#[derive(Clone, Debug)]
pub struct CgroupRoot {
    path: PathBuf,
    hierarchy: Hierarchy,
    /// The version 2 tree, if there is one.
    unified: Option<PathBuf>,
    /// The trees of version 1, by controller.
    controllers: BTreeMap<Controller, PathBuf>,
}

impl CgroupRoot {
    /// The directory where systems mount cgroups.
    pub const MOUNT_POINT: &str = "/sys/fs/cgroup";

    /// Opens a directory, usually [`MOUNT_POINT`](Self::MOUNT_POINT), and detects the version.
    ///
    /// # Errors
    /// [`RootError`] if neither version is mounted there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RootError> {
        let path = path.into();
        // Every version 2 tree has this file at its root, with or without controllers.
        if path.join("cgroup.controllers").exists() {
            let unified = Some(path.clone());
            let hierarchy = Hierarchy::Unified;
            return Ok(Self { path, hierarchy, unified, controllers: BTreeMap::new() });
        }
        let controllers: BTreeMap<_, _> = Controller::ALL
            .into_iter()
            .filter_map(|controller| Some((controller, v1_tree(&path, controller)?)))
            .collect();
        let unified = Some(path.join("unified")).filter(|tree| tree.is_dir());
        let hierarchy = match (&unified, controllers.is_empty()) {
            (None, true) => return Err(RootError { path }),
            (Some(_), _) => Hierarchy::Hybrid,
            (None, false) => Hierarchy::Legacy,
        };
        Ok(Self { path, hierarchy, unified, controllers })
    }

    /// Returns the versions in use.
    pub fn hierarchy(&self) -> Hierarchy {
        self.hierarchy
    }

    /// Returns the directory in which control groups are mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the tree is mounted read-only, as in many containers.
    pub fn is_read_only(&self) -> bool {
        let tree = match self.hierarchy {
            Hierarchy::Unified => Some(&self.path),
            Hierarchy::Hybrid | Hierarchy::Legacy => self.controllers.get(&Controller::Memory),
        };
        tree.and_then(|tree| statvfs(tree).ok())
            .is_some_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY))
    }

    /// Returns the control group at this path in every hierarchy, as systemd places a unit.
    pub fn at(&self, path: &CgroupPath) -> Cgroup {
        self.for_membership(&Membership::in_all_hierarchies(path))
    }

    /// Returns the control group of a process, whose path may differ between hierarchies.
    pub fn for_membership(&self, membership: &Membership) -> Cgroup {
        let directory = |controller: Controller| match self.hierarchy {
            Hierarchy::Unified => self.unified_directory(membership),
            Hierarchy::Hybrid | Hierarchy::Legacy => {
                let tree = self.controllers.get(&controller)?;
                Some(membership.controller(controller)?.below(tree))
            }
        };
        let controllers =
            Controller::ALL.into_iter().filter_map(|c| Some((c, directory(c)?))).collect();
        Cgroup::new(self.hierarchy, self.unified_directory(membership), controllers)
    }

    /// Returns the paths of all control groups whose last part satisfies `wanted`, at most `depth` levels
    /// below `above`, in the tree of the memory controller.
    ///
    /// It does not search below a match. A group that vanishes during the search is not an error.
    pub fn find(
        &self,
        above: &CgroupPath,
        depth: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<CgroupPath> {
        let tree = match self.hierarchy {
            Hierarchy::Unified => self.unified.as_ref(),
            Hierarchy::Hybrid | Hierarchy::Legacy => {
                self.controllers.get(&Controller::Memory).or(self.unified.as_ref())
            }
        };
        let mut found = Vec::new();
        let mut pending = vec![(above.clone(), depth)];
        while let (Some(tree), Some((parent, depth))) = (tree, pending.pop()) {
            for path in children(tree, &parent) {
                if path.name().is_some_and(&wanted) {
                    found.push(path);
                } else if depth > 1 {
                    pending.push((path, depth - 1));
                }
            }
        }
        found
    }

    /// Returns the version 1 tree of a controller.
    pub(crate) fn tree(&self, controller: Controller) -> Option<&Path> {
        self.controllers.get(&controller).map(PathBuf::as_path)
    }

    fn unified_directory(&self, membership: &Membership) -> Option<PathBuf> {
        Some(membership.unified()?.below(self.unified.as_ref()?))
    }
}

fn v1_tree(root: &Path, controller: Controller) -> Option<PathBuf> {
    controller.v1_directories().iter().map(|name| root.join(name)).find(|tree| tree.is_dir())
}

fn children(tree: &Path, parent: &CgroupPath) -> Vec<CgroupPath> {
    let Ok(entries) = std::fs::read_dir(parent.below(tree)) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| parent.child(entry.file_name().to_str()?).ok())
        .collect()
}

/// A controller of control groups (cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Limits and counts memory and its kills.
    Memory,
    /// Limits processor time by quota and weight.
    Cpu,
    /// Counts processor time; in version 2 part of `cpu`.
    CpuAcct,
    /// Restricts processes to some processors.
    CpuSet,
    /// Limits the number of tasks.
    Pids,
}

impl Controller {
    /// All controllers, in declaration order.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Cpu, Self::CpuAcct, Self::CpuSet, Self::Pids];

    /// Returns the kernel's name of the controller.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAcct => "cpuacct",
            Self::CpuSet => "cpuset",
            Self::Pids => "pids",
        }
    }

    /// Returns the directories in which its version 1 tree may be mounted, in order of preference.
    /// Distributions mount the two cpu controllers together and link their names.
    pub(crate) const fn v1_directories(self) -> &'static [&'static str] {
        match self {
            Self::Memory => &["memory"],
            Self::Cpu => &["cpu", "cpu,cpuacct", "cpuacct,cpu"],
            Self::CpuAcct => &["cpuacct", "cpu,cpuacct", "cpuacct,cpu"],
            Self::CpuSet => &["cpuset"],
            Self::Pids => &["pids"],
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_hierarchy_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        assert!(CgroupRoot::open(dir.path()).is_err());
        fs::create_dir_all(dir.path().join("cpu,cpuacct")).unwrap();
        assert_eq!(CgroupRoot::open(dir.path()).unwrap().hierarchy(), Hierarchy::Legacy);
        fs::create_dir(dir.path().join("unified")).unwrap();
        assert_eq!(CgroupRoot::open(dir.path()).unwrap().hierarchy(), Hierarchy::Hybrid);
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        assert_eq!(CgroupRoot::open(dir.path()).unwrap().hierarchy(), Hierarchy::Unified);
    }

    #[test]
    fn units_are_found_in_every_slice() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "memory\n").unwrap();
        for path in ["brain.slice/x@1.service/inner/x@2.service", "system.slice/x@3.service"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let root = CgroupRoot::open(dir.path()).unwrap();
        let mut found = root.find(&CgroupPath::root(), 4, |name| name.starts_with("x@"));
        found.sort();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["/brain.slice/x@1.service", "/system.slice/x@3.service"]);
        assert!(root.find(&CgroupPath::root(), 1, |name| name.starts_with("x@")).is_empty());
    }
}
