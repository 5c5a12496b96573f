//! Where an attempt is between its start and its end, and what follows from what happens to it.
//!
//! A machine without I/O and without a clock: [`Phase::handle`](Machine::handle) takes what
//! happened and when, and says what to do; [`Machine::due`] says when to come back with
//! [`Input::Tick`]. States, their names and their order are those of systemd
//! (`service_enter_signal` and `service_sigchld_event` of `src/core/service.c`):
//!
//! ```text
//! start ──► running ──► stop-sigterm ──► stop-sigkill ──► dead
//!   │          │   └──► stop-watchdog ────────▲   │
//!   └──────────┴──────────▲                       └─ given up: something survives SIGKILL
//! ```
//! `stop-sigkill` is also where the rest of the group goes when its main process has ended.

use std::time::{Duration, Instant};

use bij_core::definition::{ExperimentSpec, OomPolicy};
use bij_core::{Exit, Limit, ServiceResult, TimeSpan};

use crate::policy;

/// `DefaultTimeoutStartSec=` (systemd-system.conf(5)).
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(90);

/// How long processes get to disappear after SIGKILL. Only the kernel can hold one up then, for
/// example in a device driver, and waiting longer helps nobody.
const SIGKILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an attempt may live on when one of its processes was killed for memory. Usually the
/// process that waits for it ends the attempt by itself, and says by its exit code how.
const BEREAVED: Duration = Duration::from_secs(1);

/// Where an attempt is; the words are systemd's sub-states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Start,
    Running,
    StopWatchdog,
    StopSigterm,
    StopSigkill,
    Dead,
}

impl Phase {
    /// systemd's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Running => "running",
            Self::StopWatchdog => "stop-watchdog",
            Self::StopSigterm => "stop-sigterm",
            Self::StopSigkill => "stop-sigkill",
            Self::Dead => "dead",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The command was executed.
    Executed,
    /// `READY=1`.
    Ready,
    /// `WATCHDOG=1`.
    Fed,
    /// `WATCHDOG=trigger`: it asks to be treated as silent.
    FeedRefused,
    /// The kernel killed one of its processes for memory.
    KilledForMemory,
    /// The watcher found it above its limit.
    OverLimit,
    /// Somebody ordered it to stop.
    Stop,
    /// The main process ended; `for_memory` if the kernel has killed for memory meanwhile.
    Exited { exit: Exit, for_memory: bool },
    /// No process of it is left.
    Empty,
    /// [`Machine::due`] has come.
    Tick,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Make `$BIJ_STOP_FILE` appear.
    AskByFile,
    /// `KillSignal=` to every process.
    Terminate,
    /// SIGABRT to every process.
    Abort,
    /// SIGKILL to every process.
    Kill,
}

/// What the definition says about time.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) notify: bool,
    pub(crate) start_timeout: Option<Duration>,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) oom_policy: OomPolicy,
}

impl Rules {
    pub(crate) fn of(spec: &ExperimentSpec) -> Self {
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

/// The machine of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    rules: Rules,
    phase: Phase,
    result: ServiceResult,
    exit: Option<Exit>,
    ready: bool,
    /// When the phase has lasted too long.
    deadline: Option<Instant>,
    /// When silence has lasted too long.
    silent: Option<Instant>,
    /// When the death of a process for memory becomes the death of all.
    bereaved: Option<Instant>,
    survivors: bool,
}

impl Machine {
    pub(crate) fn new(rules: Rules, now: Instant) -> Self {
        let deadline = rules.start_timeout.map(|timeout| now + timeout);
        Self {
            rules,
            phase: Phase::Start,
            result: ServiceResult::Success,
            exit: None,
            ready: false,
            deadline,
            silent: None,
            bereaved: None,
            survivors: false,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
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

    /// Whether processes were left that not even SIGKILL could end.
    pub(crate) fn has_survivors(&self) -> bool {
        self.survivors
    }

    /// When [`Input::Tick`] is to be handed in.
    pub(crate) fn due(&self) -> Option<Instant> {
        let silent = self.silent.filter(|_| self.phase == Phase::Running);
        let bereaved = self.bereaved.filter(|_| self.is_up());
        self.deadline.into_iter().chain(silent).chain(bereaved).min()
    }

    /// Takes what happened at `now` and says what to do, in this order.
    pub(crate) fn handle(&mut self, input: Input, now: Instant) -> Vec<Act> {
        match input {
            Input::Executed if self.phase == Phase::Start && !self.rules.notify => self.run(now),
            Input::Ready if self.phase == Phase::Start && self.rules.notify => self.run(now),
            Input::Fed => {
                self.silent = self.rules.watchdog.map(|limit| now + limit);
                Vec::new()
            }
            Input::FeedRefused if self.phase == Phase::Running => self.fall_silent(now),
            Input::KilledForMemory => self.lose_a_child(now),
            Input::OverLimit => {
                self.fail(ServiceResult::OomKill);
                self.kill(now)
            }
            Input::Stop if self.is_up() => self.stop(now),
            Input::Exited { exit, for_memory } => self.lose_main(exit, for_memory, now),
            Input::Empty if self.exit.is_some() => {
                self.phase = Phase::Dead;
                self.deadline = None;
                Vec::new()
            }
            Input::Tick => self.tick(now),
            Input::Executed | Input::Ready | Input::FeedRefused | Input::Stop | Input::Empty => {
                Vec::new()
            }
        }
    }

    /// Whether nothing has ended it yet.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Start | Phase::Running)
    }

    fn run(&mut self, now: Instant) -> Vec<Act> {
        self.phase = Phase::Running;
        self.ready = true;
        self.deadline = self.rules.time_limit.map(|limit| now + limit);
        self.silent = self.rules.watchdog.map(|limit| now + limit);
        Vec::new()
    }

    /// The first failure is the one that counts.
    fn fail(&mut self, result: ServiceResult) {
        if self.result == ServiceResult::Success {
            self.result = result;
        }
    }

    fn stop(&mut self, now: Instant) -> Vec<Act> {
        if self.rules.grace.is_zero() {
            let mut acts = vec![Act::AskByFile];
            acts.extend(self.kill(now));
            return acts;
        }
        self.phase = Phase::StopSigterm;
        self.deadline = Some(now + self.rules.grace);
        vec![Act::AskByFile, Act::Terminate]
    }

    fn kill(&mut self, now: Instant) -> Vec<Act> {
        self.phase = Phase::StopSigkill;
        self.deadline = Some(now + SIGKILL_TIMEOUT);
        vec![Act::Kill]
    }

    fn fall_silent(&mut self, now: Instant) -> Vec<Act> {
        self.fail(ServiceResult::Watchdog);
        self.phase = Phase::StopWatchdog;
        self.deadline = Some(now + self.rules.grace);
        vec![Act::Abort]
    }

    fn lose_a_child(&mut self, now: Instant) -> Vec<Act> {
        match self.rules.oom_policy {
            _ if !self.is_up() => Vec::new(),
            OomPolicy::Continue => Vec::new(),
            OomPolicy::Stop => {
                self.bereaved.get_or_insert(now + BEREAVED);
                Vec::new()
            }
            OomPolicy::Kill => {
                self.fail(ServiceResult::OomKill);
                self.kill(now)
            }
        }
    }

    fn lose_main(&mut self, exit: Exit, for_memory: bool, now: Instant) -> Vec<Act> {
        self.exit = Some(exit);
        let early = self.phase == Phase::Start && self.rules.notify;
        self.fail(match policy::result_of(exit) {
            ServiceResult::Signal if for_memory => ServiceResult::OomKill,
            // It left without ever having said READY=1.
            ServiceResult::Success if early => ServiceResult::Protocol,
            result => result,
        });
        // An attempt ends with its main process: what that leaves behind is killed.
        self.kill(now)
    }

    fn tick(&mut self, now: Instant) -> Vec<Act> {
        let over = self.deadline.is_some_and(|deadline| now >= deadline);
        let silent = self.silent.is_some_and(|deadline| now >= deadline);
        let bereaved = self.bereaved.is_some_and(|deadline| now >= deadline);
        match self.phase {
            Phase::Start | Phase::Running if bereaved => {
                self.fail(ServiceResult::OomKill);
                self.stop(now)
            }
            Phase::Running if silent => self.fall_silent(now),
            Phase::Start | Phase::Running if over => {
                self.fail(ServiceResult::Timeout);
                self.stop(now)
            }
            Phase::StopWatchdog | Phase::StopSigterm if over => {
                self.fail(ServiceResult::Timeout);
                self.kill(now)
            }
            Phase::StopSigkill if over => {
                self.survivors = true;
                self.phase = Phase::Dead;
                self.deadline = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
