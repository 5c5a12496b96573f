//! The state machine of an attempt, from its start to its end.
//!
//! It has no I/O and no clock: [`AttemptStateMachine::handle`] takes an input and its time and
//! returns actions; [`AttemptStateMachine::next_deadline`] returns when [`AttemptInput::Tick`] is due.
//! States, their names and their order are those of systemd (`service_enter_signal` and `service_sigchld_event` of `src/core/service.c`):
//!
//! ```text
//! start ──► running ──► stop-sigterm ──► stop-sigkill ──► dead
//!   │          │   └──► stop-watchdog ────────▲   │
//!   └──────────┴──────────▲                       └─ given up: a process survives SIGKILL
//! ```
//! When the main process has ended, the remaining processes are killed in `stop-sigkill`.

use std::time::{Duration, Instant};

use bij_core::spec::{ExperimentSpec, OomPolicy};
use bij_core::{Exit, Limit, ServiceResult, SubState, TimeSpan};

use crate::policy;

/// `DefaultTimeoutStartSec=` (systemd-system.conf(5)).
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(90);

/// How long processes may take to disappear after SIGKILL. Only the kernel, for example a device
/// driver, can delay them then, and waiting longer does not help.
const SIGKILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an attempt may continue after one of its processes was killed for memory. Usually the
/// parent of the killed process ends the attempt itself, with its own exit code.
const OOM_STOP_DELAY: Duration = Duration::from_secs(1);

/// Phase of an attempt, with the names of systemd's sub-states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptPhase {
    Start,
    Running,
    StopWatchdog,
    StopSigterm,
    StopSigkill,
    Dead,
}

impl AttemptPhase {
    /// Returns the sub-state that systemd has for the phase.
    pub(crate) const fn sub_state(self) -> SubState {
        match self {
            Self::Start => SubState::Start,
            Self::Running => SubState::Running,
            Self::StopWatchdog => SubState::StopWatchdog,
            Self::StopSigterm => SubState::StopSigterm,
            Self::StopSigkill => SubState::StopSigkill,
            Self::Dead => SubState::Dead,
        }
    }
}

/// An event that the state machine handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptInput {
    /// The command was executed.
    Executed,
    /// `READY=1`.
    Ready,
    /// `WATCHDOG=1`.
    WatchdogPing,
    /// `WATCHDOG=trigger`: the experiment asks for a watchdog time-out.
    WatchdogTrigger,
    /// The kernel killed one of its processes for memory.
    KilledForMemory,
    /// The watcher found the attempt above its memory limit.
    OverLimit,
    /// A stop was ordered.
    Stop,
    /// The main process ended; `for_memory` if a process was killed for memory before.
    Exited { exit: Exit, for_memory: bool },
    /// No process is left.
    Empty,
    /// [`AttemptStateMachine::next_deadline`] has passed.
    Tick,
}

/// An action for the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptAction {
    /// Create `$BIJ_STOP_FILE`.
    CreateStopFile,
    /// Send `KillSignal=` to every process.
    Terminate,
    /// Send SIGABRT to every process.
    Abort,
    /// Send SIGKILL to every process.
    Kill,
}

/// The settings of the definition that the state machine uses.
#[derive(Clone, Debug)]
pub(crate) struct AttemptRules {
    pub(crate) notify: bool,
    pub(crate) start_timeout: Option<Duration>,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) oom_policy: OomPolicy,
}

impl AttemptRules {
    pub(crate) fn from_spec(spec: &ExperimentSpec) -> Self {
        // For systemd a time-out of 0 is none (systemd.service(5)).
        let bound = |limit: Limit<TimeSpan>| {
            limit.at().map(TimeSpan::as_duration).filter(|time| !time.is_zero())
        };
        Self {
            notify: spec.health.notify,
            start_timeout: spec.health.start_timeout.map_or(Some(DEFAULT_START_TIMEOUT), bound),
            watchdog: spec.health.watchdog.and_then(|span| bound(Limit::At(span))),
            time_limit: spec.limits.time.and_then(bound),
            grace: spec.stop.grace.as_duration(),
            oom_policy: spec.limits.oom_policy,
        }
    }
}

/// State machine of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct AttemptStateMachine {
    rules: AttemptRules,
    phase: AttemptPhase,
    result: ServiceResult,
    exit: Option<Exit>,
    ready: bool,
    /// When the phase times out.
    deadline: Option<Instant>,
    /// When the watchdog times out.
    watchdog_deadline: Option<Instant>,
    /// When the attempt is stopped because one of its processes was killed for memory.
    oom_deadline: Option<Instant>,
    survivors: bool,
}

impl AttemptStateMachine {
    pub(crate) fn new(rules: AttemptRules, now: Instant) -> Self {
        let deadline = rules.start_timeout.map(|timeout| now + timeout);
        Self {
            rules,
            phase: AttemptPhase::Start,
            result: ServiceResult::Success,
            exit: None,
            ready: false,
            deadline,
            watchdog_deadline: None,
            oom_deadline: None,
            survivors: false,
        }
    }

    pub(crate) fn phase(&self) -> AttemptPhase {
        self.phase
    }

    pub(crate) fn result(&self) -> &ServiceResult {
        &self.result
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Returns whether processes survived SIGKILL.
    pub(crate) fn has_survivors(&self) -> bool {
        self.survivors
    }

    /// Returns when the next [`AttemptInput::Tick`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let watchdog_deadline =
            self.watchdog_deadline.filter(|_| self.phase == AttemptPhase::Running);
        let oom_deadline = self.oom_deadline.filter(|_| self.is_up());
        self.deadline.into_iter().chain(watchdog_deadline).chain(oom_deadline).min()
    }

    /// Handles an input that came at `now` and returns the actions to execute, in order.
    pub(crate) fn handle(&mut self, input: AttemptInput, now: Instant) -> Vec<AttemptAction> {
        match input {
            AttemptInput::Executed if self.phase == AttemptPhase::Start && !self.rules.notify => {
                self.enter_running(now)
            }
            AttemptInput::Ready if self.phase == AttemptPhase::Start && self.rules.notify => {
                self.enter_running(now)
            }
            AttemptInput::WatchdogPing => {
                self.watchdog_deadline = self.rules.watchdog.map(|limit| now + limit);
                Vec::new()
            }
            AttemptInput::WatchdogTrigger if self.phase == AttemptPhase::Running => {
                self.handle_watchdog_timeout(now)
            }
            AttemptInput::KilledForMemory => self.handle_oom_kill(now),
            AttemptInput::OverLimit => {
                self.fail(ServiceResult::OomKill);
                self.kill(now)
            }
            AttemptInput::Stop if self.is_up() => self.stop(now),
            AttemptInput::Exited { exit, for_memory } => {
                self.handle_main_exit(exit, for_memory, now)
            }
            AttemptInput::Empty if self.exit.is_some() => {
                self.phase = AttemptPhase::Dead;
                self.deadline = None;
                Vec::new()
            }
            AttemptInput::Tick => self.tick(now),
            AttemptInput::Executed
            | AttemptInput::Ready
            | AttemptInput::WatchdogTrigger
            | AttemptInput::Stop
            | AttemptInput::Empty => Vec::new(),
        }
    }

    /// Returns whether the attempt starts or runs, with no stop begun.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.phase, AttemptPhase::Start | AttemptPhase::Running)
    }

    fn enter_running(&mut self, now: Instant) -> Vec<AttemptAction> {
        self.phase = AttemptPhase::Running;
        self.ready = true;
        self.deadline = self.rules.time_limit.map(|limit| now + limit);
        self.watchdog_deadline = self.rules.watchdog.map(|limit| now + limit);
        Vec::new()
    }

    /// Records a failure; the first one counts.
    fn fail(&mut self, result: ServiceResult) {
        if self.result == ServiceResult::Success {
            self.result = result;
        }
    }

    fn stop(&mut self, now: Instant) -> Vec<AttemptAction> {
        if self.rules.grace.is_zero() {
            let mut actions = vec![AttemptAction::CreateStopFile];
            actions.extend(self.kill(now));
            return actions;
        }
        self.phase = AttemptPhase::StopSigterm;
        self.deadline = Some(now + self.rules.grace);
        vec![AttemptAction::CreateStopFile, AttemptAction::Terminate]
    }

    fn kill(&mut self, now: Instant) -> Vec<AttemptAction> {
        self.phase = AttemptPhase::StopSigkill;
        self.deadline = Some(now + SIGKILL_TIMEOUT);
        vec![AttemptAction::Kill]
    }

    fn handle_watchdog_timeout(&mut self, now: Instant) -> Vec<AttemptAction> {
        self.fail(ServiceResult::Watchdog);
        self.phase = AttemptPhase::StopWatchdog;
        self.deadline = Some(now + self.rules.grace);
        vec![AttemptAction::Abort]
    }

    fn handle_oom_kill(&mut self, now: Instant) -> Vec<AttemptAction> {
        match self.rules.oom_policy {
            _ if !self.is_up() => Vec::new(),
            OomPolicy::Continue => Vec::new(),
            OomPolicy::Stop => {
                self.oom_deadline.get_or_insert(now + OOM_STOP_DELAY);
                Vec::new()
            }
            OomPolicy::Kill => {
                self.fail(ServiceResult::OomKill);
                self.kill(now)
            }
        }
    }

    fn handle_main_exit(
        &mut self,
        exit: Exit,
        for_memory: bool,
        now: Instant,
    ) -> Vec<AttemptAction> {
        self.exit = Some(exit);
        let early = self.phase == AttemptPhase::Start && self.rules.notify;
        self.fail(match policy::result_from_exit(exit) {
            ServiceResult::Signal if for_memory => ServiceResult::OomKill,
            // The experiment succeeded without having sent READY=1.
            ServiceResult::Success if early => ServiceResult::Protocol,
            result => result,
        });
        // An attempt ends with its main process; the remaining processes are killed.
        self.kill(now)
    }

    fn tick(&mut self, now: Instant) -> Vec<AttemptAction> {
        let is_over = self.deadline.is_some_and(|deadline| now >= deadline);
        let watchdog_deadline = self.watchdog_deadline.is_some_and(|deadline| now >= deadline);
        let oom_deadline = self.oom_deadline.is_some_and(|deadline| now >= deadline);
        match self.phase {
            AttemptPhase::Start | AttemptPhase::Running if oom_deadline => {
                self.fail(ServiceResult::OomKill);
                self.stop(now)
            }
            AttemptPhase::Running if watchdog_deadline => self.handle_watchdog_timeout(now),
            AttemptPhase::Start | AttemptPhase::Running if is_over => {
                self.fail(ServiceResult::Timeout);
                self.stop(now)
            }
            AttemptPhase::StopWatchdog | AttemptPhase::StopSigterm if is_over => {
                self.fail(ServiceResult::Timeout);
                self.kill(now)
            }
            AttemptPhase::StopSigkill if is_over => {
                self.survivors = true;
                self.phase = AttemptPhase::Dead;
                self.deadline = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
