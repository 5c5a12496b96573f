//! One unit of the model: what it is, and what comes next.

use bij_core::definition::Restart;
use bij_core::port::Started;
use bij_core::{
    ActiveState, ExperimentId, InvocationId, Outcome, Resources, ServiceResult, TimeSpan,
    Timestamp, UnitStatus,
};

use super::Now;

/// One life of an experiment's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// How long it lasts; `None` until it is stopped.
    pub lasts: Option<TimeSpan>,
    /// How it ends if nobody stops it.
    pub end: LifeEnd,
}

/// How a life ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEnd {
    /// It never is up: what should run cannot be run.
    NeverUp,
    /// It leaves with this code.
    Exit(i32),
    /// A signal kills it.
    Signal,
    /// The kernel kills it for memory.
    OomKill,
    /// It falls silent.
    Watchdog,
}

/// What an experiment does, life by life; the last life is lived again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its lives; without any it runs until it is stopped.
    pub lives: Vec<Life>,
    /// When and how often it is brought back.
    pub restart: Restart,
    /// Whether its condition says no.
    pub skipped: bool,
}

impl Script {
    /// It runs until it is stopped.
    pub fn runs() -> Self {
        Self::default()
    }

    /// Each of its lives lasts so long and ends so.
    pub fn ends(lasts: TimeSpan, end: LifeEnd) -> Self {
        Self { lives: vec![Life { lasts: Some(lasts), end }], ..Self::default() }
    }
}

impl LifeEnd {
    fn result(self) -> ServiceResult {
        match self {
            Self::Exit(0) => ServiceResult::Success,
            Self::NeverUp | Self::Exit(_) => ServiceResult::ExitCode,
            Self::Signal => ServiceResult::Signal,
            Self::OomKill => ServiceResult::OomKill,
            Self::Watchdog => ServiceResult::Watchdog,
        }
    }
}

/// `EX_CONFIG`: `RestartPreventExitStatus=` of the unit.
const EXIT_NEVER: i32 = 78;

#[derive(Debug)]
enum State {
    Dead,
    Failed,
    Running { life: Life, since: u64 },
    AutoRestart { at: u64 },
}

#[derive(Debug)]
pub(super) struct Unit {
    script: Script,
    lived: usize,
    state: State,
    result: Option<ServiceResult>,
    invocation: Option<InvocationId>,
    since: u64,
    restarts: u32,
    /// When it was started, for the start limit.
    starts: Vec<u64>,
}

impl Unit {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            lived: 0,
            state: State::Dead,
            result: None,
            invocation: None,
            since: 0,
            restarts: 0,
            starts: Vec::new(),
        }
    }

    pub(super) fn redefine(&mut self, script: Script) {
        self.script = script;
        self.lived = 0;
    }

    /// A manual start; the error is the result of its job.
    pub(super) fn start(&mut self, now: &mut Now<'_>) -> Result<Started, String> {
        if matches!(self.state, State::Running { .. }) {
            return Ok(Started::AlreadyUp);
        }
        if self.script.skipped {
            return Ok(Started::Skipped);
        }
        self.restarts = 0;
        self.starts.clear();
        self.begin_life(now);
        match self.state {
            State::Running { .. } => Ok(Started::Up),
            _ => Err("failed".to_owned()),
        }
    }

    pub(super) fn stop(&mut self, now: &mut Now<'_>) -> Outcome {
        match self.state {
            State::Dead | State::Failed => Outcome::Unchanged,
            State::Running { .. } | State::AutoRestart { .. } => {
                self.enter(State::Dead, now);
                self.result = Some(ServiceResult::Success);
                Outcome::Changed
            }
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
            State::Dead | State::Failed => None,
            State::Running { life, since } => Some(since.saturating_add(life.lasts?.as_micros())),
            State::AutoRestart { at } => Some(*at),
        }
    }

    /// What is due happens.
    pub(super) fn happen(&mut self, now: &mut Now<'_>) {
        match &self.state {
            State::Dead | State::Failed => {}
            State::Running { life, .. } => {
                let end = life.end;
                self.end_life(end, now);
            }
            State::AutoRestart { .. } => self.begin_life(now),
        }
    }

    /// As systemd: a start that passes the limit fails, and the unit with it; the result of the
    /// last life stays, unless that was a success.
    fn begin_life(&mut self, now: &mut Now<'_>) {
        let Restart { burst, interval, .. } = self.script.restart;
        let window = interval.at().map_or(u64::MAX, TimeSpan::as_micros);
        self.starts.retain(|start| now.at.saturating_sub(*start) < window);
        if self.starts.len() >= usize::try_from(burst).unwrap_or(usize::MAX) {
            if self.result == Some(ServiceResult::Success) {
                self.result = Some(ServiceResult::StartLimitHit);
            }
            self.enter(State::Failed, now);
            return;
        }
        self.starts.push(now.at);
        *now.lives += 1;
        self.invocation = Some(InvocationId::from_bytes(u128::from(*now.lives).to_be_bytes()));
        let life = self.script.lives.get(self.lived).or(self.script.lives.last()).cloned();
        self.lived += 1;
        match life.unwrap_or(Life { lasts: None, end: LifeEnd::Exit(0) }) {
            Life { end: LifeEnd::NeverUp, .. } => self.end_life(LifeEnd::NeverUp, now),
            life => {
                self.result = Some(ServiceResult::Success);
                self.enter(State::Running { life, since: now.at }, now);
            }
        }
    }

    fn end_life(&mut self, end: LifeEnd, now: &mut Now<'_>) {
        self.result = Some(end.result());
        let next = match end {
            LifeEnd::Exit(0) => State::Dead,
            LifeEnd::Exit(EXIT_NEVER) => State::Failed,
            _ => {
                // Counted when it is scheduled, so a restart that the limit refuses counts too.
                self.restarts += 1;
                let delay = self.script.restart.delay.as_micros();
                State::AutoRestart { at: now.at.saturating_add(delay) }
            }
        };
        self.enter(next, now);
    }

    fn enter(&mut self, state: State, now: &Now<'_>) {
        self.state = state;
        self.since = now.at;
    }

    /// Whether a manager would still know it: one that is down in good order is forgotten.
    pub(super) fn is_loaded(&self) -> bool {
        !matches!(self.state, State::Dead)
    }

    pub(super) fn status(&self, id: &ExperimentId, enabled: bool) -> UnitStatus {
        let (active_state, sub_state) = match self.state {
            State::Dead => (ActiveState::Inactive, "dead"),
            State::Failed => (ActiveState::Failed, "failed"),
            State::Running { .. } => (ActiveState::Active, "running"),
            State::AutoRestart { .. } => (ActiveState::Activating, "auto-restart"),
        };
        let running = matches!(self.state, State::Running { .. });
        // A number of its own for every life, as a process has one.
        let pid = || u32::try_from(self.lived).ok()?.checked_add(1_000);
        UnitStatus {
            id: id.clone(),
            active_state,
            sub_state: sub_state.to_owned(),
            result: self.result.clone().filter(|_| !running),
            main_pid: running.then(pid).flatten(),
            invocation: self.invocation.filter(|_| self.is_loaded()),
            since: i64::try_from(self.since).ok().map(Timestamp::from_micros),
            restarts: Some(self.restarts),
            enabled: Some(enabled),
            status_text: None,
            resources: Resources::default(),
        }
    }
}
