//! Where control groups with limits can be made without changing a group that others use.
//!
//! A group of version 2 has a controller's files only if the group above it names that controller in
//! `cgroup.subtree_control`, and a group that names memory there may hold no processes itself
//! (cgroup-v2.rst, "No Internal Process Constraint"; the real root is exempt). A group with processes
//! that names only `cpu`, `cpuset` or `pids` becomes `domain threaded` instead: its processes stay, and
//! no group below it can be entered any more. So `cgroup.subtree_control` is written to a group that
//! belongs to this process alone, after the process has moved into a leaf of it, and `+memory` is
//! always written first: the kernel refuses that word while a process is in the group, and lets no
//! process into the group afterwards.

mod plan;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};
use thiserror::Error;

use crate::{CgroupPath, CgroupRoot, Controller, Hierarchy, Membership};
use plan::{Group, GroupType, Plan, Surroundings, decide};

/// The group into which the calling process moves.
const LEAF: &str = "bij-supervisor";

/// What the caller knows of its own control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// The group was made for the calling process alone, such as a systemd scope with `Delegate=yes`.
    Delegated,
    /// Nothing: the group is that of a shell, of a session or of a container.
    Unknown,
}

/// The groups below which a [`Jar`](crate::Jar) is made.
#[derive(Clone, Debug)]
pub struct ParentCgroup {
    root: CgroupRoot,
    groups: Membership,
}

/// Why no control groups with limits can be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ParentError {
    /// The calling process has no group in the tree, or another one than the tree shows.
    #[error("the control groups at {} are not those of this process", root.display())]
    Elsewhere {
        /// Where the tree is mounted.
        root: PathBuf,
    },
    /// Handing controllers down would change the group for its other processes.
    #[error("the control group {} holds other processes too", path.display())]
    Shared {
        /// The caller's group.
        path: PathBuf,
    },
    /// The group is part of a threaded subtree.
    #[error("the control group {} is of type {kind:?}", path.display())]
    Threaded {
        /// The caller's group.
        path: PathBuf,
        /// `cgroup.type`.
        kind: String,
    },
    /// Groups below it would have no memory limit.
    #[error("the control group {} has no memory controller to hand down", path.display())]
    NoMemory {
        /// The caller's group.
        path: PathBuf,
    },
    /// The group belongs to another user, or the tree is mounted read-only.
    #[error("the control group {} is not writable", path.display())]
    NotWritable {
        /// The caller's group.
        path: PathBuf,
    },
    /// The kernel refused; the caller is back in its group.
    #[error("cannot prepare the control group {}", path.display())]
    Refused {
        /// The file that could not be written.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl ParentCgroup {
    /// Finds where the process with these groups, which must be the calling one, can make others.
    ///
    /// In version 1 that is below its own groups. In version 2 it is, in this order: beside its own
    /// group, if the group above hands memory down and belongs to no unit of systemd; or below its own
    /// group, from which it first moves into a leaf called `bij-supervisor`. It does the latter only if
    /// it is alone in that group, and the group was delegated to it or ends with it because it is the
    /// first process of a container. A group that holds other processes is never changed.
    ///
    /// # Errors
    /// [`ParentError`] if there is no such place; then everything is as it was.
    pub fn open(root: CgroupRoot, own: &Membership, tenure: Tenure) -> Result<Self, ParentError> {
        if root.hierarchy() != Hierarchy::Unified {
            return Ok(Self { root, groups: own.clone() });
        }
        let elsewhere = || ParentError::Elsewhere { root: root.path().to_owned() };
        let own = visible(own.unified().ok_or_else(elsewhere)?, root.path());
        let above = own.parent();
        let around = Surroundings {
            own: read(&own, root.path()),
            above: above.as_ref().map(|path| read(path, root.path())),
            pid: std::process::id(),
        };
        let plan =
            decide(&around, tenure).map_err(|why| why.into_error(&own.below(root.path())))?;
        let path = match plan {
            Plan::Below => own,
            Plan::Beside => above.ok_or_else(elsewhere)?,
            Plan::MoveAside { controllers } => {
                move_aside(&own.below(root.path()), &controllers)?;
                own
            }
        };
        Ok(Self { root, groups: Membership::everywhere(&path) })
    }

    /// Where the tree is mounted.
    pub fn root(&self) -> &CgroupRoot {
        &self.root
    }

    /// The groups below which others are made.
    pub(crate) fn groups(&self) -> &Membership {
        &self.groups
    }
}

/// The group as the mount shows it. A container without a cgroup namespace shows its own group as the
/// root of the mount, while `/proc/self/cgroup` names it from the host's root.
fn visible(path: &CgroupPath, root: &Path) -> CgroupPath {
    if path.below(root).is_dir() { path.clone() } else { CgroupPath::root() }
}

fn read(path: &CgroupPath, root: &Path) -> Group {
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
    Group {
        name: path.name().map(str::to_owned),
        kind,
        // Processes of other PID namespaces count as well; the kernel writes 0 for them.
        processes: text("cgroup.procs")
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect(),
        available: controllers("cgroup.controllers"),
        handed_down: controllers("cgroup.subtree_control"),
        writable: writable(&directory) && writable(&directory.join("cgroup.procs")),
    }
}

/// Moves the calling process into a leaf of its group, and hands the controllers down, memory first.
fn move_aside(group: &Path, controllers: &[Controller]) -> Result<(), ParentError> {
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
    let hand_down = |controller: Controller| fs::write(&control, format!("+{controller}"));
    let moved = fs::write(leaf.join("cgroup.procs"), "0").map_err(refused(&leaf));
    let handed_down = moved.and_then(|()| {
        // Refused while another process is in the group; see the module's documentation.
        hand_down(Controller::Memory).map_err(refused(&control))
    });
    if let Err(error) = handed_down {
        // Back to where it was. What is left to report is the first error.
        let _ = fs::write(group.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&leaf);
        return Err(error);
    }
    for controller in controllers.iter().filter(|controller| **controller != Controller::Memory) {
        // A limit that lacks its controller is reported where it is written.
        let _ = hand_down(*controller);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
