//! What holds an attempt to its limits, and counts what it uses: a cgroup, or the watcher.
//!
//! Each attempt has a thread of its own for it. Looking at processes is blocking work, and the
//! watcher has to be punctual whatever else the program does.

mod keeper;
mod place;
mod wheel;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use bij_cgroup::{CgroupLimits, CgroupSetting};
use bij_core::definition::{Limits, OomPolicy};
use bij_core::{
    Bytes, CpuQuota, InvocationId, LeftBehind, Limit, MemoryLimit, PeakSource, Resources,
};
use tokio::sync::{mpsc as tokio_mpsc, oneshot};

use crate::kill_signal::KillSignal;
use crate::watcher;

pub use place::CgroupPlace;
pub(crate) use place::Place;
pub(crate) use wheel::{Steer, Steered, Wheel};

/// Which means hold experiments to their limits.
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

/// What is known of an attempt's use of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) resources: Resources,
    pub(crate) peak_source: Option<PeakSource>,
    /// Kills for memory, by the kernel or by the watcher.
    pub(crate) oom_kills: Option<u64>,
    pub(crate) memory_limit_hits: Option<u64>,
    /// What the kernel said of a kill for memory.
    pub(crate) kernel_line: Option<String>,
    /// Whether its processes are made to stand still.
    pub(crate) frozen: bool,
}

/// What the jar saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The kernel killed a process for memory.
    KilledForMemory,
    /// The watcher found it above its limit and has killed it.
    OverLimit,
    /// The main process has ended and nobody is left.
    Empty,
}

/// A jar before anything is in it; its cgroup goes with it.
#[derive(Debug)]
pub(crate) struct EmptyJar {
    name: String,
    cgroup: Option<bij_cgroup::OwnedCgroup>,
    memory: Option<Limit<Bytes>>,
    cpu: Option<Limit<CpuQuota>>,
    watched: Option<Bytes>,
    notes: Vec<String>,
}

impl EmptyJar {
    /// Makes what can be made of the limits on a machine with `total` bytes of memory.
    ///
    /// # Errors
    /// Only with [`Backend::Cgroup`]: that no group can be made.
    pub(crate) fn make(
        backend: Backend,
        place: &Place,
        name: &str,
        limits: &Limits,
        total: Bytes,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let resolve = |limit: MemoryLimit| limit.resolve(total);
        let wanted = CgroupLimits {
            memory: limits.memory.map(resolve),
            swap: limits.swap.map(resolve),
            cpu: limits.cpu,
            // The shim sets the affinity, which works everywhere and is the same for one group.
            cpus: None,
            tasks: limits.tasks,
            kill_together: limits.oom_policy == OomPolicy::Kill,
        };
        let made = match (backend, place.parent()) {
            (Backend::Watcher, _) => Err(None),
            (_, Ok(parent)) => bij_cgroup::OwnedCgroup::create(parent, name, &wanted)
                .map_err(|error| Some(chain(&error))),
            (_, Err(reason)) => Err(Some(reason.to_owned())),
        };
        match (made, backend) {
            (Err(Some(reason)), Backend::Cgroup) => Err(reason.into()),
            (Err(reason), _) => Ok(Self::watched(name, reason.as_deref(), &wanted)),
            (Ok(jar), _) => Ok(Self::with(name, Some(jar), &wanted, Vec::new())),
        }
    }

    /// A jar without a cgroup, and why there is none.
    fn watched(name: &str, reason: Option<&str>, wanted: &CgroupLimits) -> Self {
        let note = reason.filter(|_| *wanted != CgroupLimits::default());
        let note = note.map(|reason| format!("the kernel holds no limits here: {reason}"));
        Self::with(name, None, wanted, note.into_iter().collect())
    }

    fn with(
        name: &str,
        cgroup: Option<bij_cgroup::OwnedCgroup>,
        wanted: &CgroupLimits,
        mut notes: Vec<String>,
    ) -> Self {
        let mut held = cgroup.is_some();
        if let Some(jar) = &cgroup {
            for missing in jar.missing() {
                match missing.setting {
                    CgroupSetting::Memory => held = false,
                    // The supervisor itself kills the rest where the kernel does not.
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

    /// What does not work here, one sentence each.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The files by which the shim enters.
    pub(crate) fn procs_files(&self) -> Vec<PathBuf> {
        self.cgroup.as_ref().map(bij_cgroup::OwnedCgroup::procs_files).unwrap_or_default()
    }

    /// `RLIMIT_DATA` for each process, in bytes: twice the watched limit.
    ///
    /// A process that allocates faster than the watcher looks meets this wall. It stands at twice
    /// the limit because it counts memory that is merely reserved as well.
    pub(crate) fn data_limit(&self) -> Option<u64> {
        self.watched.map(|limit| limit.get().saturating_mul(2))
    }

    /// Takes in a process that has entered, and begins to look after it.
    ///
    /// # Errors
    /// That no thread can be started; the process is then nobody's.
    pub(crate) fn close(self, main: i32, invocation: InvocationId) -> std::io::Result<Jar> {
        let counters = Arc::new(Mutex::new(Counters::default()));
        let (orders, inbox) = mpsc::channel();
        let (sights, outbox) = tokio_mpsc::unbounded_channel();
        let keeper =
            keeper::Keeper::new(self, main, invocation, Arc::clone(&counters), sights, inbox);
        let thread = std::thread::Builder::new().name("bij-jar".to_owned());
        let keeper = thread.spawn(move || keeper.keep())?;
        Ok(Jar { orders: Some(orders), sights: outbox, counters, keeper: Some(keeper) })
    }
}

impl Drop for EmptyJar {
    fn drop(&mut self) {
        if let Some(jar) = self.cgroup.take() {
            // One that cannot be removed does no harm; its name is not used again.
            let _ = jar.remove();
        }
    }
}

/// What the keeper is told.
#[derive(Debug)]
enum Order {
    Signal(KillSignal),
    Kill,
    Read(oneshot::Sender<Counters>),
    LeftBehind(oneshot::Sender<Option<LeftBehind>>),
    /// The main process has been reaped.
    MainEnded,
    Steer(Steer, oneshot::Sender<Steered>),
    /// Its handle is gone: empty the jar.
    Leave,
}

/// A jar with an attempt in it. When it is dropped, all that is left in it is killed; who drops it
/// waits for that, because a program that ends must not leave anybody behind.
#[derive(Debug)]
pub(crate) struct Jar {
    /// Until the keeper has been told to leave.
    orders: Option<mpsc::Sender<Order>>,
    /// Until it has left.
    keeper: Option<JoinHandle<()>>,
    sights: tokio_mpsc::UnboundedReceiver<Sight>,
    counters: Arc<Mutex<Counters>>,
}

impl Jar {
    /// Sends a signal to every process, stopped ones included.
    pub(crate) fn signal(&self, signal: KillSignal) {
        self.order(Order::Signal(signal));
    }

    /// Kills every process.
    pub(crate) fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Says that the main process has been reaped: from now on [`Sight::Empty`] is looked for.
    pub(crate) fn main_ended(&self) {
        self.order(Order::MainEnded);
    }

    /// Reads the counters now.
    pub(crate) async fn read(&self) -> Counters {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Read(reply));
        answer.await.unwrap_or_else(|_| lock(&self.counters).clone())
    }

    /// Returns what is still alive a moment after the main process, which has been reaped.
    pub(crate) async fn left_behind(&self) -> Option<LeftBehind> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::LeftBehind(reply));
        answer.await.ok().flatten()
    }

    /// The counters as of the last look, for others to read at any time.
    pub(crate) fn shared(&self) -> Arc<Mutex<Counters>> {
        Arc::clone(&self.counters)
    }

    /// The next thing that the jar sees. Cancel-safe: a queue is read.
    pub(crate) async fn sight(&mut self) -> Sight {
        // The keeper's thread outlives this handle; were it gone, so would be the processes.
        self.sights.recv().await.unwrap_or(Sight::Empty)
    }

    /// By which others hold its processes back, or no longer.
    pub(crate) fn wheel(&self) -> Option<Wheel> {
        self.orders.clone().map(Wheel::new)
    }

    /// Kills what is left, takes the jar away, and returns when that is done.
    pub(crate) async fn clear(mut self) {
        self.leave();
        if let Some(keeper) = self.keeper.take() {
            // If this is cancelled, the thread goes on all the same.
            let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
        }
    }

    /// Said in words, because a [`Wheel`] may be held elsewhere.
    fn leave(&mut self) {
        self.order(Order::Leave);
        self.orders = None;
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // A keeper that has gone has killed and counted everything.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Jar {
    fn drop(&mut self) {
        self.leave();
        if let Some(keeper) = self.keeper.take() {
            // It panics as little as this does.
            let _ = keeper.join();
        }
    }
}

/// An error and its causes as one fragment.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Counters are plain values: whoever panicked while holding them left them whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
