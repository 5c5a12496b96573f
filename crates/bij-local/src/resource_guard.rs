//! Enforces the limits of an attempt and counts its use of resources, with a cgroup or the watcher.
//!
//! Each attempt has a guard thread: reading `/proc` blocks, and the watcher must be punctual whatever
//! else the program does.

mod thread;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use bij_cgroup::{CgroupLimits, CgroupRoot, CgroupSetting, Delegation, Membership, ParentCgroup};
use bij_core::spec::{LimitsSpec, OomPolicy};
use bij_core::{
    Bytes, CpuQuota, InvocationId, LeftBehind, Limit, MemoryLimit, PeakSource, Resources,
    error_chain,
};
use tokio::sync::{mpsc as tokio_mpsc, oneshot};

use crate::kill_signal::KillSignal;
use crate::watcher;

pub(crate) use thread::{RestraintHandle, RestraintOutcome, RestraintRequest};

/// The mechanism that enforces the limits of experiments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A cgroup where one can be made, else the watcher.
    #[default]
    Auto,
    /// A cgroup; an attempt for which none can be made does not start.
    Cgroup,
    /// rlimits and the watcher, even where a cgroup could be made.
    Watcher,
}

/// Resources that an attempt uses and has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) resources: Resources,
    pub(crate) peak_source: Option<PeakSource>,
    /// Kills for memory, by the kernel or by the watcher.
    pub(crate) oom_kills: Option<u64>,
    pub(crate) memory_limit_hits: Option<u64>,
    /// The kernel's log line about a kill for memory.
    pub(crate) kernel_line: Option<String>,
    /// Whether the processes are frozen.
    pub(crate) frozen: bool,
}

/// An event that the guard reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuardEvent {
    /// The kernel killed a process for memory.
    KilledForMemory,
    /// The watcher found the attempt above its memory limit and has killed it.
    OverLimit,
    /// The main process has been reaped and no other process is left.
    Empty,
}

/// The limits of an attempt before its process starts. Dropping it removes the cgroup.
#[derive(Debug)]
pub(crate) struct PreparedLimits {
    name: String,
    cgroup: Option<bij_cgroup::OwnedCgroup>,
    memory: Option<Limit<Bytes>>,
    cpu: Option<Limit<CpuQuota>>,
    watched: Option<Bytes>,
    notes: Vec<String>,
}

impl PreparedLimits {
    /// Makes a cgroup with the limits where possible, on a machine with `total` bytes of memory.
    ///
    /// # Errors
    /// If no cgroup can be made, but only with [`Backend::Cgroup`].
    pub(crate) fn new(
        backend: Backend,
        tree: &CgroupTree,
        name: &str,
        limits: &LimitsSpec,
        total: Bytes,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let resolve = |limit: MemoryLimit| limit.resolve(total);
        let wanted = CgroupLimits {
            memory: limits.memory.map(resolve),
            swap: limits.swap.map(resolve),
            cpu: limits.cpu,
            // The shim sets the affinity, which needs no cgroup and has the same effect.
            cpus: None,
            tasks: limits.tasks,
            kill_together: limits.oom_policy == OomPolicy::Kill,
        };
        let made = match (backend, tree.parent()) {
            (Backend::Watcher, _) => Err(None),
            (_, Ok(parent)) => bij_cgroup::OwnedCgroup::create(parent, name, &wanted)
                .map_err(|error| Some(error_chain(&error))),
            (_, Err(reason)) => Err(Some(reason.to_owned())),
        };
        match (made, backend) {
            (Err(Some(reason)), Backend::Cgroup) => Err(reason.into()),
            (Err(reason), _) => Ok(Self::without_cgroup(name, reason.as_deref(), &wanted)),
            (Ok(cgroup), _) => Ok(Self::from_cgroup(name, Some(cgroup), &wanted, Vec::new())),
        }
    }

    /// Prepares limits for the watcher. `reason` says why there is no cgroup.
    fn without_cgroup(name: &str, reason: Option<&str>, wanted: &CgroupLimits) -> Self {
        let note = reason.filter(|_| *wanted != CgroupLimits::default());
        let note = note.map(|reason| format!("the kernel holds no limits here: {reason}"));
        Self::from_cgroup(name, None, wanted, note.into_iter().collect())
    }

    fn from_cgroup(
        name: &str,
        cgroup: Option<bij_cgroup::OwnedCgroup>,
        wanted: &CgroupLimits,
        mut notes: Vec<String>,
    ) -> Self {
        let mut held = cgroup.is_some();
        if let Some(cgroup) = &cgroup {
            for missing in cgroup.missing() {
                match missing.setting {
                    CgroupSetting::Memory => held = false,
                    // The supervisor kills the other processes where the kernel does not.
                    CgroupSetting::KillTogether => {}
                    _ => notes.push(format!("{missing}: {}", missing.reason)),
                }
            }
        } else {
            let absent = [
                ("CPUQuota", wanted.cpu.and_then(Limit::at).is_some()),
                ("TasksMax", wanted.tasks.and_then(Limit::at).is_some()),
                ("MemorySwapMax", wanted.swap.and_then(Limit::at).is_some()),
            ];
            for (name, _) in absent.into_iter().filter(|(_, wanted)| *wanted) {
                notes.push(format!("{name}= has no effect without a cgroup"));
            }
        }
        let watched = wanted.memory.and_then(Limit::at).filter(|_| !held);
        if watched.is_some() {
            notes.push(watcher::NOTE.to_owned());
        }
        Self {
            name: name.to_owned(),
            cgroup,
            memory: wanted.memory,
            cpu: wanted.cpu,
            watched,
            notes,
        }
    }

    /// Returns the limits that have no effect here, a sentence each.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the `cgroup.procs` files by which the shim enters the cgroup.
    pub(crate) fn procs_files(&self) -> Vec<PathBuf> {
        self.cgroup.as_ref().map(bij_cgroup::OwnedCgroup::procs_files).unwrap_or_default()
    }

    /// Returns `RLIMIT_DATA` for each process, in bytes: twice the watched limit.
    ///
    /// It stops a process that allocates faster than the watcher samples. Twice the limit, because
    /// it counts memory that is merely reserved as well.
    pub(crate) fn data_limit(&self) -> Option<u64> {
        self.watched.map(|limit| limit.get().saturating_mul(2))
    }

    /// Starts a guard for the main process, which has entered the cgroup.
    ///
    /// # Errors
    /// If no thread can be started; the process is then not guarded.
    pub(crate) fn guard(
        self,
        main: i32,
        invocation: InvocationId,
    ) -> std::io::Result<ResourceGuard> {
        let counters = Arc::new(Mutex::new(Counters::default()));
        let (requests, inbox) = mpsc::channel();
        let (events, outbox) = tokio_mpsc::unbounded_channel();
        let thread =
            thread::GuardThread::new(self, main, invocation, Arc::clone(&counters), events, inbox);
        let builder = std::thread::Builder::new().name("bij-guard".to_owned());
        let thread = builder.spawn(move || thread.run())?;
        Ok(ResourceGuard {
            requests: Some(requests),
            events: outbox,
            counters,
            thread: Some(thread),
        })
    }
}

impl Drop for PreparedLimits {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.take() {
            // A cgroup that stays does no harm: its name is not used again.
            let _ = cgroup.remove();
        }
    }
}

/// A request to the guard thread.
#[derive(Debug)]
enum GuardRequest {
    Signal(KillSignal),
    Kill,
    Read(oneshot::Sender<Counters>),
    LeftBehind(oneshot::Sender<Option<LeftBehind>>),
    /// The main process has been reaped.
    MainEnded,
    Restrain(RestraintRequest, oneshot::Sender<RestraintOutcome>),
    /// Kill the remaining processes, remove the cgroup and end.
    Leave,
}

/// Handle of the thread that guards an attempt. Dropping it kills the remaining processes and blocks
/// until they are gone, because a program that ends must leave none behind.
#[derive(Debug)]
pub(crate) struct ResourceGuard {
    /// `None` after the request to leave.
    requests: Option<mpsc::Sender<GuardRequest>>,
    /// `None` after the thread was joined.
    thread: Option<JoinHandle<()>>,
    events: tokio_mpsc::UnboundedReceiver<GuardEvent>,
    counters: Arc<Mutex<Counters>>,
}

impl ResourceGuard {
    /// Sends a signal to every process, stopped ones included.
    pub(crate) fn signal(&self, signal: KillSignal) {
        self.request(GuardRequest::Signal(signal));
    }

    /// Kills every process.
    pub(crate) fn kill(&self) {
        self.request(GuardRequest::Kill);
    }

    /// Reports that the main process has been reaped; from now on [`GuardEvent::Empty`] may come.
    pub(crate) fn main_ended(&self) {
        self.request(GuardRequest::MainEnded);
    }

    /// Reads the counters now.
    pub(crate) async fn read(&self) -> Counters {
        let (reply, answer) = oneshot::channel();
        self.request(GuardRequest::Read(reply));
        answer.await.unwrap_or_else(|_| lock(&self.counters).clone())
    }

    /// Returns the processes that are still alive a moment after the main process was reaped.
    pub(crate) async fn left_behind(&self) -> Option<LeftBehind> {
        let (reply, answer) = oneshot::channel();
        self.request(GuardRequest::LeftBehind(reply));
        answer.await.ok().flatten()
    }

    /// Returns the counters, which are as of the last sample and can be read at any time.
    pub(crate) fn shared_counters(&self) -> Arc<Mutex<Counters>> {
        Arc::clone(&self.counters)
    }

    /// Returns the next event. Cancel-safe: a queue is read.
    pub(crate) async fn next_event(&mut self) -> GuardEvent {
        // The thread outlives this handle, and it ends only when no process is left.
        self.events.recv().await.unwrap_or(GuardEvent::Empty)
    }

    /// Returns a handle by which clients freeze or throttle the processes.
    pub(crate) fn restraint_handle(&self) -> Option<RestraintHandle> {
        self.requests.clone().map(RestraintHandle::new)
    }

    /// Kills the remaining processes, removes the cgroup, and returns when that is done.
    pub(crate) async fn shut_down(mut self) {
        self.ask_to_leave();
        if let Some(thread) = self.thread.take() {
            // The thread finishes even if this is cancelled.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// Sends the request explicitly: a [`RestraintHandle`] may keep the queue open.
    fn ask_to_leave(&mut self) {
        self.request(GuardRequest::Leave);
        self.requests = None;
    }

    fn request(&self, request: GuardRequest) {
        if let Some(requests) = &self.requests {
            // A thread that has ended has killed and counted all processes.
            let _ = requests.send(request);
        }
    }
}

impl Drop for ResourceGuard {
    fn drop(&mut self) {
        self.ask_to_leave();
        if let Some(thread) = self.thread.take() {
            // The thread does not panic.
            let _ = thread.join();
        }
    }
}

/// Locks a mutex, also after a panic: the values are plain and stay consistent.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a supervisor makes cgroups for its experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CgroupLocation {
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
pub(crate) struct CgroupTree {
    root: Option<CgroupRoot>,
    parent: Result<ParentCgroup, String>,
}

impl CgroupTree {
    /// Finds the parent, unless the backend needs no cgroups.
    pub(crate) fn find(cgroups: &Path, location: &CgroupLocation, backend: Backend) -> Self {
        let root = CgroupRoot::open(cgroups);
        let delegation = match (backend, location) {
            (Backend::Watcher, _) => Err("the watcher was chosen".to_owned()),
            (_, CgroupLocation::Nowhere(reason)) => Err(reason.clone()),
            (_, CgroupLocation::Delegated) => Ok(Delegation::Delegated),
            (_, CgroupLocation::Found) => Ok(Delegation::Unknown),
        };
        let parent = match (delegation, &root) {
            (Ok(delegation), Ok(root)) => parent(root, delegation),
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
    fn parent(&self) -> Result<&ParentCgroup, &str> {
        self.parent.as_ref().map_err(String::as_str)
    }
}

fn parent(root: &CgroupRoot, delegation: Delegation) -> Result<ParentCgroup, String> {
    let own = Membership::of_process(Path::new("/proc"), "self")
        .map_err(|error| format!("cannot read /proc/self/cgroup: {error}"))?;
    ParentCgroup::open(root.clone(), &own, delegation).map_err(|error| error_chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_why_there_is_no_parent_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let reason = |location: &CgroupLocation, backend| {
            let parent = CgroupTree::find(dir.path(), location, backend);
            parent.parent().map(drop).unwrap_err().to_owned()
        };
        let nowhere = CgroupLocation::Nowhere("systemd is not reachable".to_owned());
        assert_eq!(reason(&nowhere, Backend::Auto), "systemd is not reachable");
        let unmounted = reason(&CgroupLocation::Found, Backend::Cgroup);
        assert!(unmounted.starts_with("no control groups are mounted at"), "{unmounted}");
        assert_eq!(reason(&CgroupLocation::Delegated, Backend::Watcher), "the watcher was chosen");
    }
}
