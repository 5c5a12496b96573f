//! Scripts of simulated experiments, attempt by attempt.

use bij_core::spec::{RestartSpec, StopSpec};
use bij_core::{Exit, ServiceResult, TimeSpan};

/// One scripted attempt of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedAttempt {
    /// How long it lasts; `None` until it is stopped.
    pub lasts: Option<TimeSpan>,
    /// How it ends if it is not stopped.
    pub end: ScriptedEnd,
}

/// How an attempt ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptedEnd {
    /// The command cannot be executed.
    NeverUp,
    /// The process exits with this code.
    Exit(i32),
    /// The process is killed by a signal.
    Signal,
    /// The kernel kills the process for memory.
    OomKill,
    /// The watchdog times out.
    Watchdog,
    /// The time limit is reached (`RuntimeMaxSec=`).
    TimeLimit,
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimEnding {
    /// The attempt ended by itself.
    ByItself(ScriptedEnd),
    /// The unit was stopped, and the process exited.
    Stopped,
    /// The unit was stopped, and the process was killed after the grace time.
    StopTimeout,
}

/// What an experiment does, attempt by attempt. The last attempt is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The attempts. If empty, the experiment runs until it is stopped.
    pub attempts: Vec<ScriptedAttempt>,
    /// The restart settings of the unit.
    pub restart: RestartSpec,
    /// Whether the condition refuses starts, if the model runs its hooks.
    pub skipped: bool,
    /// How long the process takes to exit after a stop.
    pub leaves_after: TimeSpan,
    /// When the process is killed after a stop.
    pub grace: TimeSpan,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            attempts: Vec::new(),
            restart: RestartSpec::default(),
            skipped: false,
            leaves_after: TimeSpan::default(),
            grace: StopSpec::default().grace,
        }
    }
}

impl Script {
    /// Returns an experiment that runs until it is stopped.
    pub fn runs() -> Self {
        Self::default()
    }

    /// Returns an experiment whose attempts last this long and end like this.
    pub fn ends(lasts: TimeSpan, end: ScriptedEnd) -> Self {
        Self { attempts: vec![ScriptedAttempt { lasts: Some(lasts), end }], ..Self::default() }
    }
}

/// SIGSEGV, SIGKILL, SIGABRT and SIGTERM.
const SEGV: i32 = 11;
const KILL: i32 = 9;
const ABRT: i32 = 6;
const TERM: i32 = 15;

impl SimEnding {
    /// Returns systemd's result.
    pub const fn result(self) -> ServiceResult {
        match self {
            Self::Stopped | Self::ByItself(ScriptedEnd::Exit(0)) => ServiceResult::Success,
            Self::StopTimeout | Self::ByItself(ScriptedEnd::TimeLimit) => ServiceResult::Timeout,
            Self::ByItself(ScriptedEnd::NeverUp | ScriptedEnd::Exit(_)) => ServiceResult::ExitCode,
            Self::ByItself(ScriptedEnd::Signal) => ServiceResult::Signal,
            Self::ByItself(ScriptedEnd::OomKill) => ServiceResult::OomKill,
            Self::ByItself(ScriptedEnd::Watchdog) => ServiceResult::Watchdog,
        }
    }

    /// Returns the exit of the main process. systemd's own code for a command that cannot be
    /// executed is 203 (systemd.exec(5)).
    pub const fn exit(self) -> Exit {
        match self {
            Self::ByItself(ScriptedEnd::NeverUp) => Exit::Code(203),
            Self::ByItself(ScriptedEnd::Exit(code)) => Exit::Code(code),
            Self::ByItself(ScriptedEnd::Signal) => Exit::Signal(SEGV),
            Self::ByItself(ScriptedEnd::OomKill) | Self::StopTimeout => Exit::Signal(KILL),
            Self::ByItself(ScriptedEnd::Watchdog) => Exit::Signal(ABRT),
            Self::Stopped | Self::ByItself(ScriptedEnd::TimeLimit) => Exit::Signal(TERM),
        }
    }
}
