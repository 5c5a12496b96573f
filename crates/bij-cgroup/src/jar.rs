//! Control groups of our own making.

mod limits;
mod steer;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thiserror::Error;

use crate::{Cgroup, CgroupPath, Controller, Hierarchy, InvalidCgroupPath, ParentCgroup};

pub use limits::{JarLimits, MissingLimit, MissingReason, Setting};

/// A control group that holds one experiment's processes under limits, until it is removed.
///
/// Dropping it leaves it standing: its counters are evidence.
#[derive(Debug)]
pub struct Jar {
    cgroup: Cgroup,
    hierarchy: Hierarchy,
    directories: BTreeSet<PathBuf>,
    missing: Vec<MissingLimit>,
}

/// Why no control group could be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JarError {
    /// The name is none.
    #[error("not a name for a control group")]
    Name(#[source] InvalidCgroupPath),
    /// The process that asks is in no control group of this root.
    #[error("no control group below {} is ours", root.display())]
    NoPlace {
        /// The root.
        root: PathBuf,
    },
    /// The kernel, or whoever mounted the tree, does not let us.
    #[error("cannot make the control group {}", path.display())]
    NotWritable {
        /// The directory that was to be made.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The group above it is part of a threaded subtree, so that no process can enter it.
    #[error("the control group {} is of type {kind:?}", path.display())]
    Threaded {
        /// The directory that was made, and removed again.
        path: PathBuf,
        /// `cgroup.type`.
        kind: String,
    },
    /// It is there and processes are in it.
    #[error("the control group {} still has processes in it", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
}

/// Why a process could not enter.
#[derive(Debug, Error)]
#[error("cannot enter a control group by {}", path.display())]
pub struct EnterError {
    /// The file that was written.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Why processes could not be killed.
#[derive(Debug, Error)]
#[error("cannot kill process {pid} of a control group")]
pub struct KillError {
    /// The process.
    pub pid: u32,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Why a control group could not be removed.
#[derive(Debug, Error)]
#[error("cannot remove the control group {}", path.display())]
pub struct RemoveError {
    /// The directory.
    pub path: PathBuf,
    /// What the system said; `EBUSY` while processes are in it.
    #[source]
    pub source: io::Error,
}

/// How long [`Jar::remove`] waits for killed processes to be gone, and how often it looks. The
/// kernel takes a dead process out of its group a moment after the kill returns.
const GONE_WITHIN: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Jar {
    /// Makes a control group called `name` below the groups of `parent`.
    ///
    /// An empty group left behind under the same name is replaced, so that counters begin at 0.
    /// Limits that have no effect on this machine are told by [`Jar::missing`].
    ///
    /// # Errors
    /// [`JarError`] if no group at all could be made.
    pub fn create(parent: &ParentCgroup, name: &str, limits: &JarLimits) -> Result<Self, JarError> {
        CgroupPath::root().child(name).map_err(JarError::Name)?;
        let mut jar = match parent.root().hierarchy() {
            Hierarchy::Unified => Self::create_unified(parent, name)?,
            Hierarchy::Hybrid | Hierarchy::Legacy => Self::create_v1(parent, name, limits)?,
        };
        jar.missing = limits.apply(jar.hierarchy, &jar.cgroup);
        Ok(jar)
    }

    /// Limits that were asked for and have no effect here, and why.
    pub fn missing(&self) -> &[MissingLimit] {
        &self.missing
    }

    /// The group, to read its counters and list its processes.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The files by which a process enters, see [`Jar::enter`].
    pub fn procs_files(&self) -> Vec<PathBuf> {
        self.directories.iter().map(|directory| directory.join("cgroup.procs")).collect()
    }

    /// Moves the calling process, with all its threads, into the group of these
    /// [`procs_files`](Self::procs_files). To be called by the process itself before it executes
    /// the experiment, so that nothing of it ever runs outside.
    ///
    /// # Errors
    /// [`EnterError`] if the kernel refuses; the process may then be in some of the groups.
    pub fn enter(procs_files: &[PathBuf]) -> Result<(), EnterError> {
        for path in procs_files {
            // "0" is the writer itself, whatever PID namespace it lives in.
            fs::write(path, "0").map_err(|source| EnterError { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Kills every process in the group, those of groups below it included.
    ///
    /// # Errors
    /// [`KillError`] if a process may not be killed.
    pub fn kill(&self) -> Result<(), KillError> {
        // Linux 5.14 kills all at once, forks included; hybrid trees have the file as well.
        let at_once = self.cgroup.unified().map(|group| group.join("cgroup.kill"));
        if at_once.is_some_and(|file| file.exists() && fs::write(file, "1").is_ok()) {
            return Ok(());
        }
        let mut signalled = BTreeSet::new();
        loop {
            // A process that has its SIGKILL forks no more, so this ends.
            let fresh: Vec<u32> =
                self.cgroup.processes().into_iter().filter(|pid| signalled.insert(*pid)).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            fresh.into_iter().try_for_each(kill_process)?;
        }
    }

    /// Removes the group and those below it; waits a moment for killed processes to be gone.
    ///
    /// # Errors
    /// [`RemoveError`] if it cannot be removed, for example because processes still live in it.
    pub fn remove(self) -> Result<(), RemoveError> {
        self.directories.iter().try_for_each(|directory| {
            let mut waited = Duration::ZERO;
            loop {
                match remove_tree(directory) {
                    Ok(()) => return Ok(()),
                    Err(error)
                        if error.source.kind() == ErrorKind::ResourceBusy
                            && waited < GONE_WITHIN =>
                    {
                        thread::sleep(LOOK_EVERY);
                        waited += LOOK_EVERY;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn create_unified(parent: &ParentCgroup, name: &str) -> Result<Self, JarError> {
        let root = parent.root().path();
        let no_place = || JarError::NoPlace { root: root.to_owned() };
        let above = parent.groups().unified().ok_or_else(no_place)?;
        let directory = above.below(root).join(name);
        make(&directory)?;
        if let Some(kind) = threaded(&directory) {
            // It is empty; should it stay, it is in nobody's way.
            let _ = fs::remove_dir(&directory);
            return Err(JarError::Threaded { path: directory, kind });
        }
        let cgroup = Cgroup::new(Hierarchy::Unified, Some(directory.clone()), BTreeMap::new());
        let directories = BTreeSet::from([directory]);
        let hierarchy = Hierarchy::Unified;
        Ok(Self { cgroup, hierarchy, directories, missing: Vec::new() })
    }

    fn create_v1(parent: &ParentCgroup, name: &str, limits: &JarLimits) -> Result<Self, JarError> {
        let root = parent.root();
        let mut controllers = BTreeMap::new();
        let mut directories = BTreeSet::new();
        let mut refused = None;
        for controller in Controller::ALL {
            // A group of this controller holds nobody until it has been given processors.
            if controller == Controller::CpuSet && limits.cpus.is_none() {
                continue;
            }
            let (Some(tree), Some(place)) =
                (root.tree(controller), parent.groups().controller(controller))
            else {
                continue;
            };
            let directory = existing_or(place.below(tree), tree).join(name);
            // The two cpu controllers often share a tree.
            let made = if directories.contains(&directory) { Ok(()) } else { make(&directory) };
            match made {
                Ok(()) => {
                    directories.insert(directory.clone());
                    controllers.insert(controller, directory);
                }
                Err(JarError::Occupied { path }) => return Err(JarError::Occupied { path }),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if controllers.is_empty() {
            let no_place = JarError::NoPlace { root: root.path().to_owned() };
            return Err(refused.unwrap_or(no_place));
        }
        let cgroup = Cgroup::new(root.hierarchy(), None, controllers);
        let hierarchy = root.hierarchy();
        Ok(Self { cgroup, hierarchy, directories, missing: Vec::new() })
    }
}

/// A container without a cgroup namespace shows its own group as the root of the mount, while
/// `/proc/self/cgroup` names it from the host's root.
fn existing_or(directory: PathBuf, root: &Path) -> PathBuf {
    if directory.is_dir() { directory } else { root.to_owned() }
}

/// The type of a group that no process can enter, if it is one: `domain invalid` or `threaded`.
fn threaded(directory: &Path) -> Option<String> {
    let kind = fs::read_to_string(directory.join("cgroup.type")).ok()?;
    Some(kind.trim().to_owned()).filter(|kind| kind != "domain")
}

/// Makes a group, replacing an empty one of the same name.
fn make(directory: &Path) -> Result<(), JarError> {
    let refused = |source| JarError::NotWritable { path: directory.to_owned(), source };
    match fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove_tree(directory).map_err(|error| match error.source.kind() {
                ErrorKind::ResourceBusy => JarError::Occupied { path: error.path },
                _ => refused(error.source),
            })?;
            fs::create_dir(directory).map_err(refused)
        }
        made => made.map_err(refused),
    }
}

/// Removes a group after those below it: `rmdir` only, the kernel's files go with the directory.
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
