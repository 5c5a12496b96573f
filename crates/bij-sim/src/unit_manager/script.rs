//! What an experiment of the model does, life by life.

use bij_core::definition::{Restart, Stop};
use bij_core::{Exit, ServiceResult, TimeSpan};

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
    /// It has run for as long as it may (`RuntimeMaxSec=`).
    TimeLimit,
}

/// How a life has ended, by itself or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Life(LifeEnd),
    /// It was told to leave, and left.
    Stopped,
    /// It was told to leave, did not within its grace, and was killed.
    StopTimeout,
}

/// What an experiment does, life by life; the last life is lived again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its lives; without any it runs until it is stopped.
    pub lives: Vec<Life>,
    /// When and how often it is brought back.
    pub restart: Restart,
    /// Whether its condition says no.
    pub skipped: bool,
    /// How long it goes on when it is told to leave.
    pub leaves_after: TimeSpan,
    /// When it is killed then.
    pub grace: TimeSpan,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            lives: Vec::new(),
            restart: Restart::default(),
            skipped: false,
            leaves_after: TimeSpan::default(),
            grace: Stop::default().grace,
        }
    }
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

/// SIGSEGV, SIGKILL, SIGABRT, SIGTERM.
const SEGV: i32 = 11;
const KILL: i32 = 9;
const ABRT: i32 = 6;
const TERM: i32 = 15;

impl Ending {
    /// What systemd calls it.
    pub const fn result(self) -> ServiceResult {
        match self {
            Self::Stopped | Self::Life(LifeEnd::Exit(0)) => ServiceResult::Success,
            Self::StopTimeout | Self::Life(LifeEnd::TimeLimit) => ServiceResult::Timeout,
            Self::Life(LifeEnd::NeverUp | LifeEnd::Exit(_)) => ServiceResult::ExitCode,
            Self::Life(LifeEnd::Signal) => ServiceResult::Signal,
            Self::Life(LifeEnd::OomKill) => ServiceResult::OomKill,
            Self::Life(LifeEnd::Watchdog) => ServiceResult::Watchdog,
        }
    }

    /// What became of the main process; 203 is systemd's own for what cannot be executed
    /// (systemd.exec(5)).
    pub const fn exit(self) -> Exit {
        match self {
            Self::Life(LifeEnd::NeverUp) => Exit::Code(203),
            Self::Life(LifeEnd::Exit(code)) => Exit::Code(code),
            Self::Life(LifeEnd::Signal) => Exit::Signal(SEGV),
            Self::Life(LifeEnd::OomKill) | Self::StopTimeout => Exit::Signal(KILL),
            Self::Life(LifeEnd::Watchdog) => Exit::Signal(ABRT),
            Self::Stopped | Self::Life(LifeEnd::TimeLimit) => Exit::Signal(TERM),
        }
    }
}
