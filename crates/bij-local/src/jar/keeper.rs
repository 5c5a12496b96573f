//! The thread that looks after one attempt's processes.

mod steer;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bij_core::{InvocationId, LeftBehind, Limit, PeakSource};
use nix::sys::signal::Signal;
use tokio::sync::mpsc::UnboundedSender;

use super::{Counters, EmptyJar, Order, Sight, lock};
use crate::group::{Group, Look, living_name};
use crate::kernel_log::oom_line;
use crate::kill_signal::KillSignal;
use crate::watcher::{Verdict, Watcher};

/// How often to look where nothing is near: for children killed for memory, and for dead orphans.
const IDLE: Duration = Duration::from_millis(500);

/// How often every process of the machine is looked at while the watcher is in a hurry; in between
/// only known ones are.
const FULL_LOOK: Duration = Duration::from_millis(100);

/// How often to look whether the last process has gone.
const LEAVING: Duration = Duration::from_millis(5);

/// How often a kill is repeated for processes that were started meanwhile.
const KILL_ROUNDS: usize = 20;

pub(super) struct Keeper {
    jar: EmptyJar,
    group: Group,
    watcher: Option<Watcher>,
    counters: Arc<Mutex<Counters>>,
    sights: UnboundedSender<Sight>,
    inbox: mpsc::Receiver<Order>,
    main_ended: bool,
    kills_by_watcher: u64,
    full_look: Option<Instant>,
    steering: steer::Steering,
}

impl Keeper {
    pub(super) fn new(
        jar: EmptyJar,
        main: i32,
        invocation: InvocationId,
        counters: Arc<Mutex<Counters>>,
        sights: UnboundedSender<Sight>,
        inbox: mpsc::Receiver<Order>,
    ) -> Self {
        let watcher = jar.watched.map(Watcher::new);
        Self {
            jar,
            group: Group::new(main, invocation),
            watcher,
            counters,
            sights,
            inbox,
            main_ended: false,
            kills_by_watcher: 0,
            full_look: None,
            steering: steer::Steering::default(),
        }
    }

    /// Looks until the jar's handle is gone, then empties the jar, which goes with this.
    pub(super) fn keep(mut self) {
        loop {
            let pace = self.look_after();
            match self.inbox.recv_timeout(pace) {
                Ok(Order::Signal(signal)) => {
                    self.thaw();
                    self.signal(signal);
                    // As systemd does: a stopped process cannot heed what it is asked.
                    self.signal(KillSignal::Standard(Signal::SIGCONT));
                }
                Ok(Order::Kill) => self.kill(),
                Ok(Order::LeftBehind(reply)) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.left_behind());
                }
                Ok(Order::MainEnded) => self.main_ended = true,
                Ok(Order::Read(reply)) => {
                    self.look(true);
                    // Whoever asked may have gone.
                    let _ = reply.send(self.testimony());
                }
                Ok(Order::Steer(steer, reply)) => {
                    let steered = self.steer(steer);
                    // The next question is answered with what is so now.
                    self.look(true);
                    let _ = reply.send(steered);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(Order::Leave) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        self.kill();
    }

    /// Looks once and says how long to wait.
    fn look_after(&mut self) -> Duration {
        let kernel_kills = lock(&self.counters).oom_kills.unwrap_or(0);
        let began = Instant::now();
        let fresh = self.full_look.is_some_and(|last| last.elapsed() < FULL_LOOK);
        let look = self.look(!fresh || self.main_ended);
        if lock(&self.counters).oom_kills.unwrap_or(0) > kernel_kills {
            self.report(Sight::KilledForMemory);
        }
        if self.main_ended {
            if look.alive.is_empty() {
                self.report(Sight::Empty);
                return IDLE;
            }
            return LEAVING;
        }
        match self.judge(&look, began) {
            None => IDLE,
            Some(Verdict::Within(pace)) => pace,
            Some(Verdict::Over) => {
                self.kill();
                self.kills_by_watcher += 1;
                self.look(false);
                self.report(Sight::OverLimit);
                IDLE
            }
        }
    }

    /// Judges a look. Nobody is killed on the strength of one look at several processes: shares
    /// move between them while they are read one after the other.
    fn judge(&mut self, look: &Look, began: Instant) -> Option<Verdict> {
        let verdict = self.watcher.as_mut()?.judge(look, began, Instant::now);
        if verdict != Verdict::Over || look.alive.len() < 2 {
            return Some(verdict);
        }
        let again = self.look(true);
        Some(self.watcher.as_mut()?.judge(&again, began, Instant::now))
    }

    fn report(&self, sight: Sight) {
        // The handle may be gone: then nobody wants to know.
        let _ = self.sights.send(sight);
    }

    /// Looks at the processes and brings the counters up to date.
    fn look(&mut self, full: bool) -> Look {
        let look = if full {
            self.full_look = Some(Instant::now());
            self.group.look()
        } else {
            self.group.glance()
        };
        let mut counters = Counters::default();
        if let Some(jar) = &self.jar.cgroup {
            let reading = jar.cgroup().read();
            counters.oom_kills = reading.oom_kills;
            counters.memory_limit_hits = reading.memory_limit_hits;
            counters.resources = reading.resources;
            counters.peak_source = counters.resources.memory_peak.map(|_| PeakSource::Kernel);
        }
        self.fill_by_samples(&look, &mut counters);
        counters.frozen = self.steering.is_frozen();
        *lock(&self.counters) = counters;
        look
    }

    /// The counters, with the kernel's words if it has killed.
    fn testimony(&self) -> Counters {
        let mut counters = lock(&self.counters).clone();
        let by_kernel = counters.oom_kills.unwrap_or(0) > self.kills_by_watcher;
        if by_kernel && self.jar.cgroup.is_some() {
            counters.kernel_line = oom_line(Path::new("/dev/kmsg"), &self.jar.name);
        }
        counters
    }

    /// What no cgroup counts is counted by us, as well as that goes.
    fn fill_by_samples(&self, look: &Look, counters: &mut Counters) {
        let before = lock(&self.counters).clone();
        let resident = bij_core::Bytes::new(look.resident);
        let resources = &mut counters.resources;
        if self.watcher.is_some() || resources.memory_current.is_none() {
            resources.memory_current = Some(resident);
        }
        if self.watcher.is_some() || resources.memory_peak.is_none() {
            let largest = before.resources.memory_peak.unwrap_or_default().max(resident);
            resources.memory_peak = Some(self.watcher.as_ref().map_or(largest, Watcher::peak));
            counters.peak_source = Some(PeakSource::Sampled);
        }
        if self.watcher.is_some() || resources.memory_max.is_none() {
            resources.memory_max = Some(self.jar.memory.unwrap_or(Limit::Max));
        }
        if resources.cpu_usage_nsec.is_none() {
            // A process that has gone takes its time with it: the sum never falls.
            let nanos = look.cpu_ticks * (1_000_000_000 / procfs::ticks_per_second().max(1));
            resources.cpu_usage_nsec =
                Some(before.resources.cpu_usage_nsec.unwrap_or(0).max(nanos));
        }
        if self.watcher.is_some() {
            counters.oom_kills = Some(counters.oom_kills.unwrap_or(0) + self.kills_by_watcher);
        }
    }

    /// Signals every process and returns how many got it.
    fn signal(&mut self, signal: KillSignal) -> usize {
        let pids = self.everybody();
        signal.send(&pids)
    }

    /// Every living process, in order.
    fn everybody(&mut self) -> Vec<i32> {
        let mut pids = self.group.look().alive;
        if let Some(jar) = &self.jar.cgroup {
            let more = jar.cgroup().processes().into_iter();
            pids.extend(more.filter_map(|pid| i32::try_from(pid).ok()));
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The processes that outlive the main process.
    fn left_behind(&mut self) -> Option<LeftBehind> {
        let names = || self.everybody().into_iter().filter_map(living_name).collect();
        LeftBehind::observe(names, std::thread::sleep)
    }

    /// Kills until nobody is left who could start another one.
    fn kill(&mut self) {
        if let Some(jar) = &self.jar.cgroup {
            // What may not be killed here is tried again below, and shows as a survivor.
            let _ = jar.kill();
        }
        for _ in 0..KILL_ROUNDS {
            if self.signal(KillSignal::Standard(Signal::SIGKILL)) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
