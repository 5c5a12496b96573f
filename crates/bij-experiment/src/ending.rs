//! Exit codes by which a process tells bij what to do next.

use std::process::{ExitCode, Termination};

/// What a process asks for by its exit code. `main` may return it.
///
/// The codes are those of sysexits.h(3head). Any other code is a crash, and the experiment is restarted as
/// its definition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 0: the run has succeeded.
    Done,
    /// 75 (`EX_TEMPFAIL`): the state is saved; start the next attempt later. Not a crash.
    ResumeMe,
    /// 78 (`EX_CONFIG`): another attempt cannot help, for example because a setting is wrong.
    NeverAgain,
}

impl Ending {
    /// Returns the exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::ResumeMe => 75,
            Self::NeverAgain => 78,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}

impl Termination for Ending {
    fn report(self) -> ExitCode {
        self.into()
    }
}
