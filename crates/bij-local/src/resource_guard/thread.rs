//! The thread that guards the processes of one attempt.

mod restraint;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bij_core::{InvocationId, LeftBehind, Limit, PeakSource};
use nix::sys::signal::Signal;
use tokio::sync::mpsc::UnboundedSender;

use super::{Counters, GuardEvent, GuardRequest, PreparedLimits, lock};
use crate::attempt_processes::{AttemptProcesses, ProcessSample, name_if_alive};
use crate::kernel_log::oom_line;
use crate::kill_signal::KillSignal;
use crate::watcher::{MemoryVerdict, MemoryWatcher};
use restraint::RestraintState;

pub(crate) use restraint::{RestraintHandle, RestraintOutcome, RestraintRequest};

/// Interval of samples while no limit is near, to find children killed for memory and dead orphans.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);

/// Interval of scans of all processes while the watcher samples more often; the samples between them
/// read only known processes.
const FULL_SCAN_INTERVAL: Duration = Duration::from_millis(100);

/// Interval of checks whether the last process has ended.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How often a signal is repeated at most, for processes that were started meanwhile.
const MAX_ROUNDS: usize = 20;

pub(super) struct GuardThread {
    limits: PreparedLimits,
    processes: AttemptProcesses,
    watcher: Option<MemoryWatcher>,
    counters: Arc<Mutex<Counters>>,
    events: UnboundedSender<GuardEvent>,
    inbox: mpsc::Receiver<GuardRequest>,
    main_ended: bool,
    kills_by_watcher: u64,
    last_full_scan: Option<Instant>,
    restraint: RestraintState,
}

impl GuardThread {
    pub(super) fn new(
        limits: PreparedLimits,
        main: i32,
        invocation: InvocationId,
        counters: Arc<Mutex<Counters>>,
        events: UnboundedSender<GuardEvent>,
        inbox: mpsc::Receiver<GuardRequest>,
    ) -> Self {
        let watcher = limits.watched.map(MemoryWatcher::new);
        Self {
            limits,
            processes: AttemptProcesses::new(main, invocation),
            watcher,
            counters,
            events,
            inbox,
            main_ended: false,
            kills_by_watcher: 0,
            last_full_scan: None,
            restraint: RestraintState::default(),
        }
    }

    /// Samples and answers requests until the handle is gone, then kills the remaining processes.
    pub(super) fn run(mut self) {
        loop {
            let pace = self.check();
            match self.inbox.recv_timeout(pace) {
                Ok(GuardRequest::Signal(signal)) => {
                    self.thaw();
                    self.signal(signal);
                    // As systemd does: a stopped process cannot handle the signal.
                    self.signal(KillSignal::Standard(Signal::SIGCONT));
                }
                Ok(GuardRequest::Kill) => self.kill(),
                Ok(GuardRequest::LeftBehind(reply)) => {
                    // The caller may have been cancelled.
                    let _ = reply.send(self.left_behind());
                }
                Ok(GuardRequest::MainEnded) => self.main_ended = true,
                Ok(GuardRequest::Read(reply)) => {
                    self.sample(true);
                    // The caller may have been cancelled.
                    let _ = reply.send(self.counters_with_kernel_line());
                }
                Ok(GuardRequest::Restrain(request, reply)) => {
                    let outcome = self.restrain(request);
                    // The next read of the counters must show the change.
                    self.sample(true);
                    let _ = reply.send(outcome);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(GuardRequest::Leave) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        self.kill();
    }

    /// Samples once, reports events, and returns how long to wait until the next sample.
    fn check(&mut self) -> Duration {
        let kernel_kills = lock(&self.counters).oom_kills.unwrap_or(0);
        let began = Instant::now();
        let fresh = self.last_full_scan.is_some_and(|last| last.elapsed() < FULL_SCAN_INTERVAL);
        let sample = self.sample(!fresh || self.main_ended);
        if lock(&self.counters).oom_kills.unwrap_or(0) > kernel_kills {
            self.notify(GuardEvent::KilledForMemory);
        }
        if self.main_ended {
            if sample.alive.is_empty() {
                self.notify(GuardEvent::Empty);
                return IDLE_INTERVAL;
            }
            return EXIT_POLL_INTERVAL;
        }
        match self.judge(&sample, began) {
            None => IDLE_INTERVAL,
            Some(MemoryVerdict::Within(pace)) => pace,
            Some(MemoryVerdict::Over) => {
                self.kill();
                self.kills_by_watcher += 1;
                self.sample(false);
                self.notify(GuardEvent::OverLimit);
                IDLE_INTERVAL
            }
        }
    }

    /// Judges a sample. One sample of several processes is not enough for a kill, because shares of
    /// memory move between them while they are read one after the other.
    fn judge(&mut self, sample: &ProcessSample, began: Instant) -> Option<MemoryVerdict> {
        let verdict = self.watcher.as_mut()?.judge(sample, began, Instant::now);
        if verdict != MemoryVerdict::Over || sample.alive.len() < 2 {
            return Some(verdict);
        }
        let again = self.sample(true);
        Some(self.watcher.as_mut()?.judge(&again, began, Instant::now))
    }

    fn notify(&self, event: GuardEvent) {
        // The handle may be gone; the event is then of no use.
        let _ = self.events.send(event);
    }

    /// Samples the processes and updates the counters.
    fn sample(&mut self, full: bool) -> ProcessSample {
        let sample = if full {
            self.last_full_scan = Some(Instant::now());
            self.processes.scan()
        } else {
            self.processes.scan_known()
        };
        let mut counters = Counters::default();
        if let Some(cgroup) = &self.limits.cgroup {
            let reading = cgroup.cgroup().read();
            counters.oom_kills = reading.oom_kills;
            counters.memory_limit_hits = reading.memory_limit_hits;
            counters.resources = reading.resources;
            counters.peak_source = counters.resources.memory_peak.map(|_| PeakSource::Kernel);
        }
        self.fill_by_samples(&sample, &mut counters);
        counters.frozen = self.restraint.is_frozen();
        *lock(&self.counters) = counters;
        sample
    }

    /// Returns the counters, with the kernel's log line if the kernel has killed.
    fn counters_with_kernel_line(&self) -> Counters {
        let mut counters = lock(&self.counters).clone();
        let by_kernel = counters.oom_kills.unwrap_or(0) > self.kills_by_watcher;
        if by_kernel && self.limits.cgroup.is_some() {
            counters.kernel_line = oom_line(Path::new("/dev/kmsg"), &self.limits.name);
        }
        counters
    }

    /// Fills in from the sample what no cgroup counts.
    fn fill_by_samples(&self, sample: &ProcessSample, counters: &mut Counters) {
        let before = lock(&self.counters).clone();
        let resident = bij_core::Bytes::new(sample.resident);
        let resources = &mut counters.resources;
        if self.watcher.is_some() || resources.memory_current.is_none() {
            resources.memory_current = Some(resident);
        }
        if self.watcher.is_some() || resources.memory_peak.is_none() {
            let largest = before.resources.memory_peak.unwrap_or_default().max(resident);
            resources.memory_peak =
                Some(self.watcher.as_ref().map_or(largest, MemoryWatcher::peak));
            counters.peak_source = Some(PeakSource::Sampled);
        }
        if self.watcher.is_some() || resources.memory_max.is_none() {
            resources.memory_max = Some(self.limits.memory.unwrap_or(Limit::Max));
        }
        if resources.cpu_usage_nsec.is_none() {
            // The time of an ended process is missing from the sum, which therefore must not fall.
            let nanos = sample.cpu_ticks * (1_000_000_000 / procfs::ticks_per_second().max(1));
            resources.cpu_usage_nsec =
                Some(before.resources.cpu_usage_nsec.unwrap_or(0).max(nanos));
        }
        if self.watcher.is_some() {
            counters.oom_kills = Some(counters.oom_kills.unwrap_or(0) + self.kills_by_watcher);
        }
    }

    /// Signals every living process and returns how many received it.
    fn signal(&mut self, signal: KillSignal) -> usize {
        let pids = self.living_processes();
        signal.send(&pids)
    }

    /// Returns the pids of all living processes, sorted.
    fn living_processes(&mut self) -> Vec<i32> {
        let mut pids = self.processes.scan().alive;
        if let Some(cgroup) = &self.limits.cgroup {
            let more = cgroup.cgroup().processes().into_iter();
            pids.extend(more.filter_map(|pid| i32::try_from(pid).ok()));
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Returns the processes that outlive the main process.
    fn left_behind(&mut self) -> Option<LeftBehind> {
        let names = || self.living_processes().into_iter().filter_map(name_if_alive).collect();
        LeftBehind::observe(names, std::thread::sleep)
    }

    /// Kills until no process is left that could start another one.
    fn kill(&mut self) {
        if let Some(cgroup) = &self.limits.cgroup {
            // The loop below tries again; a survivor shows in the evidence.
            let _ = cgroup.kill();
        }
        for _ in 0..MAX_ROUNDS {
            if self.signal(KillSignal::Standard(Signal::SIGKILL)) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
