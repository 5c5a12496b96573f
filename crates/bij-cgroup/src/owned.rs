//! Control groups that this program creates.

mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use bij_core::{CpuQuota, Limit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thiserror::Error;

use crate::{Cgroup, CgroupPath, Controller, Hierarchy, InvalidCgroupPath, ParentCgroup};

pub use limits::{CgroupLimits, CgroupSetting, MissingLimit, MissingReason};

/// A control group with limits for the processes of one experiment.
///
/// Dropping the value does not remove the group, because its counters are evidence.
#[derive(Debug)]
pub struct OwnedCgroup {
    cgroup: Cgroup,
    hierarchy: Hierarchy,
    directories: BTreeSet<PathBuf>,
    missing: Vec<MissingLimit>,
}

/// Why a control group could not be created.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The name is not a single part of a path.
    #[error("invalid name of a control group")]
    Name(#[source] InvalidCgroupPath),
    /// The calling process is in no control group of this root.
    #[error("this process is in no control group below {}", root.display())]
    NoParent {
        /// Directory in which control groups are mounted.
        root: PathBuf,
    },
    /// The kernel refused, or the tree is mounted read-only.
    #[error("cannot create the control group {}", path.display())]
    NotWritable {
        /// Directory of the group.
        path: PathBuf,
        /// Error that the system returned.
        #[source]
        source: io::Error,
    },
    /// The group above it is part of a threaded subtree, so no process can enter it.
    #[error("the control group {} is of type {kind:?}", path.display())]
    Threaded {
        /// Directory of the group, which was removed again.
        path: PathBuf,
        /// Type of the group from `cgroup.type`.
        kind: String,
    },
    /// A group of this name exists and holds processes.
    #[error("the control group {} still has processes in it", path.display())]
    Occupied {
        /// Directory of the group.
        path: PathBuf,
    },
}

/// A process could not enter a control group.
#[derive(Debug, Error)]
#[error("cannot enter a control group by {}", path.display())]
pub struct EnterError {
    /// The `cgroup.procs` file that was written.
    pub path: PathBuf,
    /// Error that the system returned.
    #[source]
    pub source: io::Error,
}

/// A process of a control group could not be killed.
#[derive(Debug, Error)]
#[error("cannot kill process {pid} of a control group")]
pub struct KillError {
    /// Id of the process.
    pub pid: u32,
    /// Error that the system returned.
    #[source]
    pub source: io::Error,
}

/// A control group could not be removed.
#[derive(Debug, Error)]
#[error("cannot remove the control group {}", path.display())]
pub struct RemoveError {
    /// Directory of the group.
    pub path: PathBuf,
    /// The system's error; `EBUSY` while the group holds processes.
    #[source]
    pub source: io::Error,
}

/// How long [`OwnedCgroup::remove`] waits for killed processes to be gone. The kernel removes a dead
/// process from its group a moment after kill(2) returns.
const REMOVE_TIMEOUT: Duration = Duration::from_millis(500);
const REMOVE_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long [`OwnedCgroup::set_frozen`] waits until all tasks are frozen; a long system call of a device
/// delays it.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(2);
const FREEZE_POLL_INTERVAL: Duration = Duration::from_millis(2);

impl OwnedCgroup {
    /// Creates a control group called `name` below the groups of `parent`.
    ///
    /// An empty group of the same name is replaced, so that counters begin at 0. Limits that have no effect
    /// on this machine are listed by [`OwnedCgroup::missing`].
    ///
    /// # Errors
    /// [`CreateError`] if no group could be created.
    pub fn create(
        parent: &ParentCgroup,
        name: &str,
        limits: &CgroupLimits,
    ) -> Result<Self, CreateError> {
        CgroupPath::root().child(name).map_err(CreateError::Name)?;
        let mut group = match parent.root().hierarchy() {
            Hierarchy::Unified => Self::create_unified(parent, name)?,
            Hierarchy::Hybrid | Hierarchy::Legacy => Self::create_v1(parent, name, limits)?,
        };
        group.missing = limits.apply(group.hierarchy, &group.cgroup);
        Ok(group)
    }

    /// Returns the requested limits that have no effect on this machine.
    pub fn missing(&self) -> &[MissingLimit] {
        &self.missing
    }

    /// Returns the group, to read its counters and list its processes.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Returns the files by which a process enters, see [`OwnedCgroup::enter`].
    pub fn procs_files(&self) -> Vec<PathBuf> {
        self.directories.iter().map(|directory| directory.join("cgroup.procs")).collect()
    }

    /// Moves the calling process, with all its threads, into the group of these
    /// [`procs_files`](Self::procs_files). The process calls it before it executes the experiment, so that
    /// the experiment never runs outside of the group.
    ///
    /// # Errors
    /// [`EnterError`] if the kernel refuses; the process may then be in some of the groups.
    pub fn enter(procs_files: &[PathBuf]) -> Result<(), EnterError> {
        for path in procs_files {
            // "0" is the writer itself, in any PID namespace.
            fs::write(path, "0").map_err(|source| EnterError { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Kills every process in the group and in the groups below it.
    ///
    /// # Errors
    /// [`KillError`] if a process may not be killed.
    pub fn kill(&self) -> Result<(), KillError> {
        // Since Linux 5.14 one write kills all, forks included; hybrid trees have the file as well.
        let kill_file = self.cgroup.unified().map(|group| group.join("cgroup.kill"));
        if kill_file.is_some_and(|file| file.exists() && fs::write(file, "1").is_ok()) {
            return Ok(());
        }
        let mut signalled = BTreeSet::new();
        loop {
            // A process with a pending SIGKILL does not fork, so the loop ends.
            let unsignalled: Vec<u32> =
                self.cgroup.processes().into_iter().filter(|pid| signalled.insert(*pid)).collect();
            if unsignalled.is_empty() {
                return Ok(());
            }
            unsignalled.into_iter().try_for_each(kill_process)?;
        }
    }

    /// Removes the group and the groups below it; waits a moment for killed processes to be gone.
    ///
    /// # Errors
    /// [`RemoveError`] if it cannot be removed, for example because it still holds processes.
    pub fn remove(self) -> Result<(), RemoveError> {
        self.directories.iter().try_for_each(|directory| {
            let mut waited = Duration::ZERO;
            loop {
                match remove_tree(directory) {
                    Ok(()) => return Ok(()),
                    Err(error)
                        if error.source.kind() == ErrorKind::ResourceBusy
                            && waited < REMOVE_TIMEOUT =>
                    {
                        thread::sleep(REMOVE_POLL_INTERVAL);
                        waited += REMOVE_POLL_INTERVAL;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    /// Changes the CPU limit of the group.
    ///
    /// # Errors
    /// [`MissingLimit`] if it has no effect on this machine.
    pub fn set_cpu(&self, quota: Limit<CpuQuota>) -> Result<(), MissingLimit> {
        let limits = CgroupLimits { cpu: Some(quota), ..CgroupLimits::default() };
        limits.apply(self.hierarchy, &self.cgroup).into_iter().next().map_or(Ok(()), Err)
    }

    /// Freezes or thaws all processes of the group, later ones included, and waits until that is done.
    /// Returns `false` if the kernel has no freezer for this group (version 1).
    ///
    /// A frozen process can be killed; other signals wait until it is thawed.
    ///
    /// # Errors
    /// If the kernel refuses, or if a process is not frozen in time; then the group is thawed again.
    pub fn set_frozen(&self, frozen: bool) -> io::Result<bool> {
        let file = self.cgroup.unified().map(|group| group.join("cgroup.freeze"));
        let Some(file) = file.filter(|file| file.exists()) else { return Ok(false) };
        fs::write(&file, if frozen { "1" } else { "0" })?;
        let mut waited = Duration::ZERO;
        while self.cgroup.is_frozen() != Some(frozen) {
            if waited >= FREEZE_TIMEOUT {
                fs::write(&file, "0")?;
                return Err(ErrorKind::TimedOut.into());
            }
            thread::sleep(FREEZE_POLL_INTERVAL);
            waited += FREEZE_POLL_INTERVAL;
        }
        Ok(true)
    }

    fn create_unified(parent: &ParentCgroup, name: &str) -> Result<Self, CreateError> {
        let root = parent.root().path();
        let no_parent = || CreateError::NoParent { root: root.to_owned() };
        let above = parent.groups().unified().ok_or_else(no_parent)?;
        let directory = above.below(root).join(name);
        create_directory(&directory)?;
        if let Some(kind) = threaded_type(&directory) {
            // An empty group does no harm if it stays.
            let _ = fs::remove_dir(&directory);
            return Err(CreateError::Threaded { path: directory, kind });
        }
        let cgroup = Cgroup::new(Hierarchy::Unified, Some(directory.clone()), BTreeMap::new());
        let directories = BTreeSet::from([directory]);
        let hierarchy = Hierarchy::Unified;
        Ok(Self { cgroup, hierarchy, directories, missing: Vec::new() })
    }

    fn create_v1(
        parent: &ParentCgroup,
        name: &str,
        limits: &CgroupLimits,
    ) -> Result<Self, CreateError> {
        let root = parent.root();
        let mut controllers = BTreeMap::new();
        let mut directories = BTreeSet::new();
        let mut refused = None;
        for controller in Controller::ALL {
            // No process can enter a `cpuset` group that has no processors yet.
            if controller == Controller::CpuSet && limits.cpus.is_none() {
                continue;
            }
            let (Some(tree), Some(own)) =
                (root.tree(controller), parent.groups().controller(controller))
            else {
                continue;
            };
            let directory = existing_or(own.below(tree), tree).join(name);
            // The two cpu controllers often share a tree.
            let created = if directories.contains(&directory) {
                Ok(())
            } else {
                create_directory(&directory)
            };
            match created {
                Ok(()) => {
                    directories.insert(directory.clone());
                    controllers.insert(controller, directory);
                }
                Err(CreateError::Occupied { path }) => return Err(CreateError::Occupied { path }),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if controllers.is_empty() {
            let no_parent = CreateError::NoParent { root: root.path().to_owned() };
            return Err(refused.unwrap_or(no_parent));
        }
        let cgroup = Cgroup::new(root.hierarchy(), None, controllers);
        let hierarchy = root.hierarchy();
        Ok(Self { cgroup, hierarchy, directories, missing: Vec::new() })
    }
}

/// Returns the directory if it exists, else the root. A container without a cgroup namespace shows its own
/// group as the root of the mount, while `/proc/self/cgroup` names it from the host's root.
fn existing_or(directory: PathBuf, root: &Path) -> PathBuf {
    if directory.is_dir() { directory } else { root.to_owned() }
}

/// Returns the type of a group that no process can enter: `domain invalid` or `threaded`.
fn threaded_type(directory: &Path) -> Option<String> {
    let kind = fs::read_to_string(directory.join("cgroup.type")).ok()?;
    Some(kind.trim().to_owned()).filter(|kind| kind != "domain")
}

/// Creates a group; replaces an empty one of the same name.
fn create_directory(directory: &Path) -> Result<(), CreateError> {
    let refused = |source| CreateError::NotWritable { path: directory.to_owned(), source };
    match fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove_tree(directory).map_err(|error| match error.source.kind() {
                ErrorKind::ResourceBusy => CreateError::Occupied { path: error.path },
                _ => refused(error.source),
            })?;
            fs::create_dir(directory).map_err(refused)
        }
        result => result.map_err(refused),
    }
}

/// Removes a group after the groups below it. Only rmdir(2): the kernel's files go with the directory.
fn remove_tree(directory: &Path) -> Result<(), RemoveError> {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(RemoveError { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn kill_process(pid: u32) -> Result<(), KillError> {
    let Ok(raw) = i32::try_from(pid) else { return Ok(()) };
    match kill(Pid::from_raw(raw), Signal::SIGKILL) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(KillError { pid, source: errno.into() }),
    }
}

#[cfg(test)]
mod tests;
