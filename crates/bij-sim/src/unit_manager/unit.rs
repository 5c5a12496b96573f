//! One unit of the model and its transitions.

use bij_core::port::Started;
use bij_core::{
    ActiveState, ExperimentId, InvocationId, MonotonicTime, Outcome, ServiceResult, StartLimit,
    SubState, Timestamp, UnitStatus,
};

use super::job::{JobId, JobResult};
use super::restraints::SimRestraints;
use super::{Hook, Script, ScriptedAttempt, ScriptedEnd, SimEnding, SimHookCall, UnitContext};

/// `EX_CONFIG`, which is in the unit's `RestartPreventExitStatus=`.
const EXIT_NEVER: i32 = 78;

#[derive(Debug)]
pub(super) enum UnitPhase {
    Dead,
    Failed,
    /// `ExecCondition=` runs and asks for admission.
    Condition,
    /// `ExecCondition=` was admitted and still runs.
    Beginning,
    Running {
        attempt: ScriptedAttempt,
        since: MonotonicTime,
    },
    /// The process was told to stop; it exits or is killed.
    Stopping {
        until: MonotonicTime,
        ending: SimEnding,
    },
    /// `ExecStopPost=` runs.
    StopPost(SimEnding),
    AutoRestart {
        at: MonotonicTime,
    },
}

/// Whether a start resets a start limit that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartLimitReset {
    Yes,
    No,
}

#[derive(Debug)]
pub(super) struct Unit {
    script: Script,
    attempts_begun: usize,
    pub(super) phase: UnitPhase,
    pub(super) restraints: SimRestraints,
    result: Option<ServiceResult>,
    invocation: Option<InvocationId>,
    since: MonotonicTime,
    restarts: u32,
    /// Times of starts, for the start limit.
    starts: Vec<MonotonicTime>,
    /// Whether the unit is started again when it is down.
    start_wanted: bool,
    starting: Vec<JobId>,
    stopping: Vec<JobId>,
    /// Whether a stop was requested on its way down, which prevents restarts.
    stop_requested: bool,
    pub(super) changed: bool,
}

impl Unit {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            attempts_begun: 0,
            phase: UnitPhase::Dead,
            restraints: SimRestraints::default(),
            result: None,
            invocation: None,
            since: MonotonicTime::BOOT,
            restarts: 0,
            starts: Vec::new(),
            start_wanted: false,
            starting: Vec::new(),
            stopping: Vec::new(),
            stop_requested: false,
            changed: false,
        }
    }

    pub(super) fn redefine(&mut self, script: Script) {
        self.script = script;
        self.attempts_begun = 0;
    }

    /// Starts the unit manually.
    pub(super) fn start(
        &mut self,
        job: Option<JobId>,
        reset: StartLimitReset,
        context: &mut UnitContext<'_>,
    ) {
        if reset == StartLimitReset::Yes && self.is_down() {
            self.starts.clear();
        }
        match self.phase {
            UnitPhase::Running { .. } => {
                if let Some(job) = job {
                    context.jobs.end(job, JobResult::Started(Started::AlreadyUp));
                }
            }
            UnitPhase::Condition | UnitPhase::Beginning | UnitPhase::AutoRestart { .. } => {
                // systemd keeps the start job until the pending restart.
                self.starting.extend(job);
            }
            UnitPhase::Stopping { .. } | UnitPhase::StopPost(_) => {
                self.starting.extend(job);
                self.start_wanted = true;
                self.end_stops(JobResult::Failed("canceled"), context);
            }
            UnitPhase::Dead | UnitPhase::Failed => {
                self.starting.extend(job);
                self.restarts = 0;
                self.activate(context);
            }
        }
    }

    pub(super) fn stop(&mut self, job: Option<JobId>, context: &mut UnitContext<'_>) {
        self.start_wanted = false;
        self.end_starts(JobResult::Failed("canceled"), context);
        let is_down = self.is_down();
        match &self.phase {
            UnitPhase::Dead | UnitPhase::Failed => {}
            UnitPhase::Condition | UnitPhase::AutoRestart { .. } => {
                self.result = Some(ServiceResult::Success);
                self.enter(UnitPhase::Dead, context);
            }
            UnitPhase::Beginning => self.end_attempt(SimEnding::Stopped, context),
            UnitPhase::Running { .. } => {
                let Script { leaves_after, grace, .. } = self.script;
                let ending =
                    if leaves_after > grace { SimEnding::StopTimeout } else { SimEnding::Stopped };
                let until = context.at + leaves_after.min(grace);
                self.enter(UnitPhase::Stopping { until, ending }, context);
                if until == context.at {
                    self.process_due(context);
                }
            }
            UnitPhase::Stopping { .. } | UnitPhase::StopPost(_) => self.stop_requested = true,
        }
        let outcome = if is_down { Outcome::Unchanged } else { Outcome::Changed };
        match job {
            Some(job) if self.is_down() => context.jobs.end(job, JobResult::Stopped(outcome)),
            job => self.stopping.extend(job),
        }
    }

    pub(super) fn reset_failed(&mut self, context: &mut UnitContext<'_>) -> Outcome {
        let failed = matches!(self.phase, UnitPhase::Failed);
        let restarted = std::mem::take(&mut self.restarts) > 0;
        self.starts.clear();
        if failed {
            self.enter(UnitPhase::Dead, context);
            self.result = None;
        }
        if failed || restarted { Outcome::Changed } else { Outcome::Unchanged }
    }

    /// Returns when the next event of the unit is due.
    pub(super) fn due(&self) -> Option<MonotonicTime> {
        match &self.phase {
            UnitPhase::Running { .. } if self.restraints.is_frozen() => None,
            UnitPhase::Running { attempt, since } => Some(*since + attempt.lasts?),
            UnitPhase::Stopping { until, .. } => Some(*until),
            UnitPhase::AutoRestart { at } => Some(*at),
            UnitPhase::Dead
            | UnitPhase::Failed
            | UnitPhase::Condition
            | UnitPhase::Beginning
            | UnitPhase::StopPost(_) => None,
        }
    }

    /// Processes the event that is due.
    pub(super) fn process_due(&mut self, context: &mut UnitContext<'_>) {
        match &self.phase {
            UnitPhase::Running { attempt, .. } => {
                let end = attempt.end;
                self.end_attempt(SimEnding::ByItself(end), context);
            }
            UnitPhase::Stopping { ending, .. } => {
                let ending = *ending;
                self.end_attempt(ending, context);
            }
            UnitPhase::AutoRestart { .. } => self.activate(context),
            UnitPhase::Dead
            | UnitPhase::Failed
            | UnitPhase::Condition
            | UnitPhase::Beginning
            | UnitPhase::StopPost(_) => {}
        }
    }

    /// Returns the running hook.
    pub(super) fn hook_call(&self, id: &ExperimentId) -> Option<SimHookCall> {
        let hook = self.hook()?;
        let invocation = self.invocation?;
        Some(SimHookCall { id: id.clone(), invocation, hook, restarts: self.restarts })
    }

    fn hook(&self) -> Option<Hook> {
        match self.phase {
            UnitPhase::Condition => Some(Hook::Admit),
            UnitPhase::Beginning => Some(Hook::Begin),
            UnitPhase::StopPost(ending) => Some(Hook::End(ending)),
            UnitPhase::Dead
            | UnitPhase::Failed
            | UnitPhase::Running { .. }
            | UnitPhase::Stopping { .. }
            | UnitPhase::AutoRestart { .. } => None,
        }
    }

    pub(super) fn hook_exited(&mut self, succeeded: bool, context: &mut UnitContext<'_>) {
        match self.phase {
            UnitPhase::Condition if succeeded => self.enter(UnitPhase::Beginning, context),
            UnitPhase::Condition => {
                self.result = Some(ServiceResult::ExecCondition);
                self.end_starts(JobResult::Started(Started::Skipped), context);
                self.enter_down(UnitPhase::Dead, context);
            }
            UnitPhase::Beginning if succeeded => self.begin_attempt(context),
            UnitPhase::Beginning => {
                self.end_attempt(SimEnding::ByItself(ScriptedEnd::NeverUp), context);
            }
            UnitPhase::StopPost(ending) => self.finish_attempt(ending, context),
            UnitPhase::Dead
            | UnitPhase::Failed
            | UnitPhase::Running { .. }
            | UnitPhase::Stopping { .. }
            | UnitPhase::AutoRestart { .. } => {}
        }
    }

    /// Lets hooks exit at once, for a model whose hooks no test runs.
    pub(super) fn exit_hooks(&mut self, context: &mut UnitContext<'_>) {
        while let Some(hook) = self.hook() {
            self.hook_exited(hook != Hook::Admit || !self.script.skipped, context);
        }
    }

    /// As in systemd, a start above the limit fails, and the unit with it. The result of the last
    /// attempt stays, unless that was a success.
    fn activate(&mut self, context: &mut UnitContext<'_>) {
        let limit = StartLimit::from(&self.script.restart);
        let ages = self.starts.iter().map(|start| context.at - *start);
        let is_allowed = limit.allows(ages);
        self.start_wanted = false;
        self.stop_requested = false;
        if !is_allowed {
            if self.result == Some(ServiceResult::Success) {
                self.result = Some(ServiceResult::StartLimitHit);
            }
            self.end_starts(JobResult::Failed("failed"), context);
            self.enter_down(UnitPhase::Failed, context);
            return;
        }
        self.starts.push(context.at);
        *context.invocations += 1;
        self.invocation =
            Some(InvocationId::from_bytes(u128::from(*context.invocations).to_be_bytes()));
        self.enter(UnitPhase::Condition, context);
    }

    fn begin_attempt(&mut self, context: &mut UnitContext<'_>) {
        let attempt =
            self.script.attempts.get(self.attempts_begun).or(self.script.attempts.last()).cloned();
        self.attempts_begun += 1;
        match attempt.unwrap_or(ScriptedAttempt { lasts: None, end: ScriptedEnd::Exit(0) }) {
            ScriptedAttempt { end: ScriptedEnd::NeverUp, .. } => {
                self.end_attempt(SimEnding::ByItself(ScriptedEnd::NeverUp), context);
            }
            attempt => {
                self.result = Some(ServiceResult::Success);
                self.enter(UnitPhase::Running { attempt, since: context.at }, context);
                self.end_starts(JobResult::Started(Started::Up), context);
            }
        }
    }

    fn end_attempt(&mut self, ending: SimEnding, context: &mut UnitContext<'_>) {
        self.result = Some(ending.result());
        if !self.start_wanted {
            self.end_starts(JobResult::Failed("failed"), context);
        }
        self.enter(UnitPhase::StopPost(ending), context);
    }

    fn finish_attempt(&mut self, ending: SimEnding, context: &mut UnitContext<'_>) {
        match ending {
            SimEnding::Stopped | SimEnding::ByItself(ScriptedEnd::Exit(0)) => {
                self.enter_down(UnitPhase::Dead, context);
            }
            SimEnding::StopTimeout | SimEnding::ByItself(ScriptedEnd::Exit(EXIT_NEVER)) => {
                self.enter_down(UnitPhase::Failed, context);
            }
            SimEnding::ByItself(_) if self.stop_requested => {
                self.enter_down(UnitPhase::Failed, context);
            }
            SimEnding::ByItself(_) => {
                // Counted when it is scheduled, so a restart that the limit refuses counts too.
                self.restarts += 1;
                self.start_wanted = false;
                let at = context.at + self.script.restart.delay;
                self.enter(UnitPhase::AutoRestart { at }, context);
            }
        }
    }

    fn enter_down(&mut self, phase: UnitPhase, context: &mut UnitContext<'_>) {
        self.enter(phase, context);
        self.stop_requested = false;
        self.end_stops(JobResult::Stopped(Outcome::Changed), context);
        if self.start_wanted {
            self.restarts = 0;
            self.activate(context);
        }
    }

    fn end_starts(&mut self, done: JobResult, context: &mut UnitContext<'_>) {
        self.starting.drain(..).for_each(|job| context.jobs.end(job, done));
    }

    fn end_stops(&mut self, done: JobResult, context: &mut UnitContext<'_>) {
        self.stopping.drain(..).for_each(|job| context.jobs.end(job, done));
    }

    fn enter(&mut self, phase: UnitPhase, context: &UnitContext<'_>) {
        self.phase = phase;
        self.restraints.reset_frozen();
        self.since = context.at;
        self.changed = true;
    }

    /// Resets the unit to its script.
    pub(super) fn lose_power(&mut self) {
        let fresh = Self::new(std::mem::take(&mut self.script));
        let attempts_begun = self.attempts_begun;
        *self = Self { attempts_begun, ..fresh };
    }

    pub(super) const fn is_down(&self) -> bool {
        matches!(self.phase, UnitPhase::Dead | UnitPhase::Failed)
    }

    /// Returns whether the unit has a process.
    pub(super) const fn has_process(&self) -> bool {
        matches!(self.phase, UnitPhase::Running { .. } | UnitPhase::Stopping { .. })
    }

    /// Returns whether the manager still has the unit loaded: a unit that ended cleanly is
    /// unloaded.
    pub(super) const fn is_loaded(&self) -> bool {
        !matches!(self.phase, UnitPhase::Dead)
    }

    pub(super) fn status(&self, id: &ExperimentId, enabled: bool) -> UnitStatus {
        let (active_state, sub_state) = match self.phase {
            UnitPhase::Dead => (ActiveState::Inactive, SubState::Dead),
            UnitPhase::Failed => (ActiveState::Failed, SubState::Failed),
            UnitPhase::Condition | UnitPhase::Beginning => {
                (ActiveState::Activating, SubState::Condition)
            }
            UnitPhase::Running { .. } => (ActiveState::Active, SubState::Running),
            UnitPhase::Stopping { .. } => (ActiveState::Deactivating, SubState::StopSigterm),
            UnitPhase::StopPost(_) => (ActiveState::Deactivating, SubState::StopPost),
            UnitPhase::AutoRestart { .. } => (ActiveState::Activating, SubState::AutoRestart),
        };
        // Each attempt has its own pid, as a process does.
        let pid = || u32::try_from(self.attempts_begun).ok()?.checked_add(1_000);
        let mut status = UnitStatus::down(id.clone());
        status.active_state = active_state;
        status.sub_state = sub_state;
        status.result = self.result.clone().filter(|_| !self.has_process());
        status.main_pid = self.has_process().then(pid).flatten();
        status.invocation = self.invocation.filter(|_| self.is_loaded());
        status.since = i64::try_from(self.since.as_micros()).ok().map(Timestamp::from_micros);
        status.restarts = Some(self.restarts);
        status.frozen = self.restraints.is_frozen();
        status.enabled = Some(enabled);
        status.resources.cpu_quota = self.restraints.quota();
        status
    }
}
