//! Finds the group below which control groups with limits can be created without changing a group that
//! other processes use.
//!
//! A group of version 2 has a controller's files only if the group above it names that controller in
//! `cgroup.subtree_control`, and a group that names memory there may hold no processes itself
//! (cgroup-v2.rst, "No Internal Process Constraint"; the real root is exempt). A group with processes
//! that names only `cpu`, `cpuset` or `pids` becomes `domain threaded` instead: its processes stay, and
//! no process can enter a group below it any more. So `cgroup.subtree_control` is written only in a group
//! that belongs to this process alone, after the process has moved into a leaf of it, and `+memory` is
//! always written first: the kernel refuses it while a process is in the group, and lets no process into
//! the group afterwards.

mod plan;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};
use thiserror::Error;

use crate::{CgroupPath, CgroupRoot, Controller, Hierarchy, Membership};
use plan::{GroupState, GroupType, ParentPlan, ParentSituation, decide};

/// Name of the group into which the calling process moves.
const LEAF: &str = "bij-supervisor";

/// What the caller knows about the delegation of its own control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delegation {
    /// The group was created for the calling process alone, such as a systemd scope with `Delegate=yes`.
    Delegated,
    /// Nothing: the group may be that of a shell, a session or a container.
    Unknown,
}

/// The groups below which an [`OwnedCgroup`](crate::OwnedCgroup) is created.
#[derive(Clone, Debug)]
pub struct ParentCgroup {
    root: CgroupRoot,
    groups: Membership,
}

/// Why no control groups with limits can be created.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ParentError {
    /// The calling process has no group in the tree, or is in another one than the tree shows.
    #[error("the control groups at {} are not those of this process", root.display())]
    Elsewhere {
        /// Directory in which the tree is mounted.
        root: PathBuf,
    },
    /// Enabling controllers for groups below it would change the group for its other processes.
    #[error("the control group {} holds other processes too", path.display())]
    Shared {
        /// Directory of the caller's group.
        path: PathBuf,
    },
    /// The group is part of a threaded subtree.
    #[error("the control group {} is of type {kind:?}", path.display())]
    Threaded {
        /// Directory of the caller's group.
        path: PathBuf,
        /// Type of the group from `cgroup.type`.
        kind: String,
    },
    /// Groups below it would have no memory limit.
    #[error("the control group {} has no memory controller for groups below it", path.display())]
    NoMemory {
        /// Directory of the caller's group.
        path: PathBuf,
    },
    /// The group belongs to another user, or the tree is mounted read-only.
    #[error("the control group {} is not writable", path.display())]
    NotWritable {
        /// Directory of the caller's group.
        path: PathBuf,
    },
    /// The kernel refused; the caller is back in its group.
    #[error("cannot prepare the control group {}", path.display())]
    Refused {
        /// The file that could not be written.
        path: PathBuf,
        /// Error that the system returned.
        #[source]
        source: io::Error,
    },
}

impl ParentCgroup {
    /// Finds the groups below which the calling process, whose groups are `own`, can create others.
    ///
    /// In version 1 these are its own groups. In version 2 it is the first of these that is possible: the
    /// group above its own, if that group enables memory and belongs to no unit of systemd; or its own
    /// group, after the process has moved into a leaf called `bij-supervisor`. The latter needs the process
    /// to be alone in its group, and the group to be delegated to it or to end with it because the process
    /// is the first one of a container. A group that holds other processes is never changed.
    ///
    /// # Errors
    /// [`ParentError`] if there is no such group; then nothing has changed.
    pub fn open(
        root: CgroupRoot,
        own: &Membership,
        delegation: Delegation,
    ) -> Result<Self, ParentError> {
        if root.hierarchy() != Hierarchy::Unified {
            return Ok(Self { root, groups: own.clone() });
        }
        let elsewhere = || ParentError::Elsewhere { root: root.path().to_owned() };
        let own = visible(own.unified().ok_or_else(elsewhere)?, root.path());
        let above = own.parent();
        let situation = ParentSituation {
            own: read(&own, root.path()),
            above: above.as_ref().map(|path| read(path, root.path())),
            pid: std::process::id(),
        };
        let plan = decide(&situation, delegation)
            .map_err(|why| why.into_error(&own.below(root.path())))?;
        let path = match plan {
            ParentPlan::Below => own,
            ParentPlan::Beside => above.ok_or_else(elsewhere)?,
            ParentPlan::MoveIntoLeaf { controllers } => {
                move_into_leaf(&own.below(root.path()), &controllers)?;
                own
            }
        };
        Ok(Self { root, groups: Membership::in_all_hierarchies(&path) })
    }

    /// Returns the tree of the groups.
    pub fn root(&self) -> &CgroupRoot {
        &self.root
    }

    /// Returns the groups below which others are created.
    pub(crate) fn groups(&self) -> &Membership {
        &self.groups
    }
}

/// Returns the path of a group in the mount. A container without a cgroup namespace shows its own group as the
/// root of the mount, while `/proc/self/cgroup` names it from the host's root.
fn visible(path: &CgroupPath, root: &Path) -> CgroupPath {
    if path.below(root).is_dir() { path.clone() } else { CgroupPath::root() }
}

fn read(path: &CgroupPath, root: &Path) -> GroupState {
    let directory = path.below(root);
    let text = |name| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let controllers = |name| {
        let text = text(name);
        let named = |controller: &Controller| {
            text.split_whitespace().any(|word| word == controller.as_str())
        };
        Controller::ALL.into_iter().filter(named).collect()
    };
    let kind = match fs::read_to_string(directory.join("cgroup.type")) {
        Ok(kind) if kind.trim() == "domain" => GroupType::Domain,
        Ok(kind) => GroupType::Other(kind.trim().to_owned()),
        Err(_) => GroupType::RealRoot,
    };
    let writable = |path: &Path| eaccess(path, AccessFlags::W_OK).is_ok();
    GroupState {
        name: path.name().map(str::to_owned),
        kind,
        // Processes of other PID namespaces count as well; the kernel writes 0 for them.
        processes: text("cgroup.procs")
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect(),
        available: controllers("cgroup.controllers"),
        enabled: controllers("cgroup.subtree_control"),
        writable: writable(&directory) && writable(&directory.join("cgroup.procs")),
    }
}

/// Moves the calling process into a leaf of its group, and enables the controllers for groups below it,
/// memory first.
fn move_into_leaf(group: &Path, controllers: &[Controller]) -> Result<(), ParentError> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| ParentError::Refused { path, source }
    };
    let leaf = group.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(refused(&leaf)(error));
        }
        _ => {}
    }
    let control = group.join("cgroup.subtree_control");
    let enable = |controller: Controller| fs::write(&control, format!("+{controller}"));
    let moved = fs::write(leaf.join("cgroup.procs"), "0").map_err(refused(&leaf));
    let enabled = moved.and_then(|()| {
        // Refused while another process is in the group; see the module's documentation.
        enable(Controller::Memory).map_err(refused(&control))
    });
    if let Err(error) = enabled {
        // Move back. The first error is the one to report.
        let _ = fs::write(group.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&leaf);
        return Err(error);
    }
    for controller in controllers.iter().filter(|controller| **controller != Controller::Memory) {
        // A limit without its controller is reported when it is written.
        let _ = enable(*controller);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
