//! One unit of the model: what it is, and what comes next.

use bij_core::port::Started;
use bij_core::{
    ActiveState, ExperimentId, InvocationId, Outcome, Resources, ServiceResult, StartLimit,
    TimeSpan, Timestamp, UnitStatus,
};

use super::job::{Done, JobId};
use super::steer::Steering;
use super::{Ending, Hook, HookCall, Life, LifeEnd, Now, Script};

/// `EX_CONFIG`: `RestartPreventExitStatus=` of the unit.
const EXIT_NEVER: i32 = 78;

#[derive(Debug)]
pub(super) enum State {
    Dead,
    Failed,
    /// `ExecCondition=` runs, and asks.
    Condition,
    /// `ExecCondition=` still runs: it was let in, and begins.
    Beginning,
    Running {
        life: Life,
        since: u64,
    },
    /// It was told to leave, and does, or is killed.
    Stopping {
        until: u64,
        ending: Ending,
    },
    /// `ExecStopPost=` runs.
    StopPost(Ending),
    AutoRestart {
        at: u64,
    },
}

/// Whether a start lifts a start limit that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lift {
    Yes,
    No,
}

#[derive(Debug)]
pub(super) struct Unit {
    script: Script,
    lived: usize,
    pub(super) state: State,
    pub(super) steering: Steering,
    result: Option<ServiceResult>,
    invocation: Option<InvocationId>,
    since: u64,
    restarts: u32,
    /// When it was started, for the start limit.
    starts: Vec<u64>,
    /// Whether it starts again once it is down, and who waits for that.
    start_wanted: bool,
    starting: Vec<JobId>,
    stopping: Vec<JobId>,
    /// A stop was asked for while it was on its way down: nothing brings it back.
    stays_down: bool,
    pub(super) changed: bool,
}

impl Unit {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            lived: 0,
            state: State::Dead,
            steering: Steering::default(),
            result: None,
            invocation: None,
            since: 0,
            restarts: 0,
            starts: Vec::new(),
            start_wanted: false,
            starting: Vec::new(),
            stopping: Vec::new(),
            stays_down: false,
            changed: false,
        }
    }

    pub(super) fn redefine(&mut self, script: Script) {
        self.script = script;
        self.lived = 0;
    }

    /// A manual start.
    pub(super) fn start(&mut self, job: Option<JobId>, lift: Lift, now: &mut Now<'_>) {
        if lift == Lift::Yes && self.is_down() {
            self.starts.clear();
        }
        match self.state {
            State::Running { .. } => {
                if let Some(job) = job {
                    now.jobs.end(job, Done::Started(Started::AlreadyUp));
                }
            }
            State::Condition | State::Beginning | State::AutoRestart { .. } => {
                // systemd keeps the job of a start until the restart that is due anyway.
                self.starting.extend(job);
            }
            State::Stopping { .. } | State::StopPost(_) => {
                self.starting.extend(job);
                self.start_wanted = true;
                self.end_stops(Done::Failed("canceled"), now);
            }
            State::Dead | State::Failed => {
                self.starting.extend(job);
                self.restarts = 0;
                self.activate(now);
            }
        }
    }

    pub(super) fn stop(&mut self, job: Option<JobId>, now: &mut Now<'_>) {
        self.start_wanted = false;
        self.end_starts(Done::Failed("canceled"), now);
        let is_down = self.is_down();
        match &self.state {
            State::Dead | State::Failed => {}
            State::Condition | State::AutoRestart { .. } => {
                self.result = Some(ServiceResult::Success);
                self.enter(State::Dead, now);
            }
            State::Beginning => self.end_life(Ending::Stopped, now),
            State::Running { .. } => {
                let Script { leaves_after, grace, .. } = self.script;
                let ending =
                    if leaves_after > grace { Ending::StopTimeout } else { Ending::Stopped };
                let until = now.at.saturating_add(leaves_after.min(grace).as_micros());
                self.enter(State::Stopping { until, ending }, now);
                if until == now.at {
                    self.happen(now);
                }
            }
            State::Stopping { .. } | State::StopPost(_) => self.stays_down = true,
        }
        let outcome = if is_down { Outcome::Unchanged } else { Outcome::Changed };
        match job {
            Some(job) if self.is_down() => now.jobs.end(job, Done::Stopped(outcome)),
            job => self.stopping.extend(job),
        }
    }

    pub(super) fn reset_failed(&mut self, now: &mut Now<'_>) -> Outcome {
        let failed = matches!(self.state, State::Failed);
        let restarted = std::mem::take(&mut self.restarts) > 0;
        self.starts.clear();
        if failed {
            self.enter(State::Dead, now);
            self.result = None;
        }
        if failed || restarted { Outcome::Changed } else { Outcome::Unchanged }
    }

    /// When the next thing happens by itself.
    pub(super) fn due(&self) -> Option<u64> {
        match &self.state {
            State::Running { .. } if self.steering.is_frozen() => None,
            State::Running { life, since } => Some(since.saturating_add(life.lasts?.as_micros())),
            State::Stopping { until, .. } => Some(*until),
            State::AutoRestart { at } => Some(*at),
            State::Dead
            | State::Failed
            | State::Condition
            | State::Beginning
            | State::StopPost(_) => None,
        }
    }

    /// What is due happens.
    pub(super) fn happen(&mut self, now: &mut Now<'_>) {
        match &self.state {
            State::Running { life, .. } => {
                let end = life.end;
                self.end_life(Ending::Life(end), now);
            }
            State::Stopping { ending, .. } => {
                let ending = *ending;
                self.end_life(ending, now);
            }
            State::AutoRestart { .. } => self.activate(now),
            State::Dead
            | State::Failed
            | State::Condition
            | State::Beginning
            | State::StopPost(_) => {}
        }
    }

    /// The hook that is running.
    pub(super) fn hook_call(&self, id: &ExperimentId) -> Option<HookCall> {
        let hook = self.hook()?;
        let invocation = self.invocation?;
        Some(HookCall { id: id.clone(), invocation, hook, restarts: self.restarts })
    }

    fn hook(&self) -> Option<Hook> {
        match self.state {
            State::Condition => Some(Hook::Admit),
            State::Beginning => Some(Hook::Begin),
            State::StopPost(ending) => Some(Hook::End(ending)),
            State::Dead
            | State::Failed
            | State::Running { .. }
            | State::Stopping { .. }
            | State::AutoRestart { .. } => None,
        }
    }

    pub(super) fn hook_left(&mut self, well: bool, now: &mut Now<'_>) {
        match self.state {
            State::Condition if well => self.enter(State::Beginning, now),
            State::Condition => {
                self.result = Some(ServiceResult::ExecCondition);
                self.end_starts(Done::Started(Started::Skipped), now);
                self.go_down(State::Dead, now);
            }
            State::Beginning if well => self.begin_life(now),
            State::Beginning => self.end_life(Ending::Life(LifeEnd::NeverUp), now),
            State::StopPost(ending) => self.after_life(ending, now),
            State::Dead
            | State::Failed
            | State::Running { .. }
            | State::Stopping { .. }
            | State::AutoRestart { .. } => {}
        }
    }

    /// Where nobody attends to hooks, they leave at once.
    pub(super) fn hooks_leave(&mut self, now: &mut Now<'_>) {
        while let Some(hook) = self.hook() {
            self.hook_left(hook != Hook::Admit || !self.script.skipped, now);
        }
    }

    /// As systemd: a start that passes the limit fails, and the unit with it; the result of the
    /// last life stays, unless that was a success.
    fn activate(&mut self, now: &mut Now<'_>) {
        let limit = StartLimit::from(&self.script.restart);
        let ages = self.starts.iter().map(|start| now.at.saturating_sub(*start));
        let is_allowed = limit.allows(ages.map(TimeSpan::from_micros));
        self.start_wanted = false;
        self.stays_down = false;
        if !is_allowed {
            if self.result == Some(ServiceResult::Success) {
                self.result = Some(ServiceResult::StartLimitHit);
            }
            self.end_starts(Done::Failed("failed"), now);
            self.go_down(State::Failed, now);
            return;
        }
        self.starts.push(now.at);
        *now.lives += 1;
        self.invocation = Some(InvocationId::from_bytes(u128::from(*now.lives).to_be_bytes()));
        self.enter(State::Condition, now);
    }

    fn begin_life(&mut self, now: &mut Now<'_>) {
        let life = self.script.lives.get(self.lived).or(self.script.lives.last()).cloned();
        self.lived += 1;
        match life.unwrap_or(Life { lasts: None, end: LifeEnd::Exit(0) }) {
            Life { end: LifeEnd::NeverUp, .. } => {
                self.end_life(Ending::Life(LifeEnd::NeverUp), now);
            }
            life => {
                self.result = Some(ServiceResult::Success);
                self.enter(State::Running { life, since: now.at }, now);
                self.end_starts(Done::Started(Started::Up), now);
            }
        }
    }

    fn end_life(&mut self, ending: Ending, now: &mut Now<'_>) {
        self.result = Some(ending.result());
        if !self.start_wanted {
            self.end_starts(Done::Failed("failed"), now);
        }
        self.enter(State::StopPost(ending), now);
    }

    fn after_life(&mut self, ending: Ending, now: &mut Now<'_>) {
        match ending {
            Ending::Stopped | Ending::Life(LifeEnd::Exit(0)) => self.go_down(State::Dead, now),
            Ending::StopTimeout | Ending::Life(LifeEnd::Exit(EXIT_NEVER)) => {
                self.go_down(State::Failed, now);
            }
            Ending::Life(_) if self.stays_down => self.go_down(State::Failed, now),
            Ending::Life(_) => {
                // Counted when it is scheduled, so a restart that the limit refuses counts too.
                self.restarts += 1;
                self.start_wanted = false;
                let delay = self.script.restart.delay.as_micros();
                self.enter(State::AutoRestart { at: now.at.saturating_add(delay) }, now);
            }
        }
    }

    fn go_down(&mut self, state: State, now: &mut Now<'_>) {
        self.enter(state, now);
        self.stays_down = false;
        self.end_stops(Done::Stopped(Outcome::Changed), now);
        if self.start_wanted {
            self.restarts = 0;
            self.activate(now);
        }
    }

    fn end_starts(&mut self, done: Done, now: &mut Now<'_>) {
        self.starting.drain(..).for_each(|job| now.jobs.end(job, done));
    }

    fn end_stops(&mut self, done: Done, now: &mut Now<'_>) {
        self.stopping.drain(..).for_each(|job| now.jobs.end(job, done));
    }

    fn enter(&mut self, state: State, now: &Now<'_>) {
        self.state = state;
        self.steering.moved_on();
        self.since = now.at;
        self.changed = true;
    }

    /// Nothing is left of it but its script.
    pub(super) fn power_lost(&mut self) {
        let fresh = Self::new(std::mem::take(&mut self.script));
        let lived = self.lived;
        *self = Self { lived, ..fresh };
    }

    pub(super) const fn is_down(&self) -> bool {
        matches!(self.state, State::Dead | State::Failed)
    }

    /// Whether its process lives.
    pub(super) const fn lives(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Stopping { .. })
    }

    /// Whether a manager would still know it: one that is down in good order is forgotten.
    pub(super) const fn is_loaded(&self) -> bool {
        !matches!(self.state, State::Dead)
    }

    pub(super) fn status(&self, id: &ExperimentId, enabled: bool) -> UnitStatus {
        let (active_state, sub_state) = match self.state {
            State::Dead => (ActiveState::Inactive, "dead"),
            State::Failed => (ActiveState::Failed, "failed"),
            State::Condition | State::Beginning => (ActiveState::Activating, "condition"),
            State::Running { .. } => (ActiveState::Active, "running"),
            State::Stopping { .. } => (ActiveState::Deactivating, "stop-sigterm"),
            State::StopPost(_) => (ActiveState::Deactivating, "stop-post"),
            State::AutoRestart { .. } => (ActiveState::Activating, "auto-restart"),
        };
        // A number of its own for every life, as a process has one.
        let pid = || u32::try_from(self.lived).ok()?.checked_add(1_000);
        UnitStatus {
            id: id.clone(),
            active_state,
            sub_state: sub_state.to_owned(),
            result: self.result.clone().filter(|_| !self.lives()),
            main_pid: self.lives().then(pid).flatten(),
            invocation: self.invocation.filter(|_| self.is_loaded()),
            since: i64::try_from(self.since).ok().map(Timestamp::from_micros),
            restarts: Some(self.restarts),
            start_due: false,
            frozen: self.steering.is_frozen(),
            enabled: Some(enabled),
            masked: false,
            status_text: None,
            resources: Resources { cpu_quota: self.steering.quota(), ..Resources::default() },
        }
    }
}
