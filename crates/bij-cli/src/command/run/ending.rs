//! The exit code of `bij run`.

use bij_core::{AttemptEnd, Cause, Exit};

use crate::error::Kind;

/// The command could not be executed, as in env(1).
const NEVER_RAN: u8 = 126;
/// The time limit was reached, as in timeout(1).
const OUT_OF_TIME: u8 = 124;

/// Returns the exit code for an experiment with this end of its last attempt.
pub(in crate::command) fn exit_code(last: Option<&AttemptEnd>) -> u8 {
    let Some(end) = last else {
        // No attempt was opened, or its end could not be recorded.
        return Kind::Failed.code();
    };
    match (end.cause, end.evidence.exit) {
        (Cause::StartFailed, _) => NEVER_RAN,
        (
            Cause::Success | Cause::Stopped | Cause::Heat | Cause::Reboot | Cause::ManagerStop,
            Some(Exit::Code(0)) | None,
        ) => 0,
        (Cause::TimeLimit, Some(Exit::Code(0)) | None) => OUT_OF_TIME,
        // The main process exited with 0, but the cause is a crash.
        (_, Some(Exit::Code(0)) | None) => Kind::Failed.code(),
        (_, Some(Exit::Code(code))) => u8::try_from(code).unwrap_or(u8::MAX),
        (_, Some(Exit::Signal(signal) | Exit::CoreDump(signal))) => {
            u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bij_core::{Evidence, Timestamp};

    fn code(cause: Cause, exit: Option<Exit>) -> u8 {
        let mut evidence = Evidence::default();
        evidence.exit = exit;
        exit_code(Some(&AttemptEnd { at: Timestamp::from_micros(0), cause, evidence }))
    }

    #[test]
    fn codes_pass_through_and_signals_are_shifted() {
        assert_eq!(code(Cause::Success, Some(Exit::Code(0))), 0);
        assert_eq!(code(Cause::Exit, Some(Exit::Code(3))), 3);
        assert_eq!(code(Cause::OomKill, Some(Exit::Signal(9))), 137);
        assert_eq!(code(Cause::Signal, Some(Exit::CoreDump(11))), 139);
        assert_eq!(code(Cause::Stopped, Some(Exit::Signal(15))), 143);
        assert_eq!(code(Cause::StartFailed, Some(Exit::Code(203))), 126);
        assert_eq!(code(Cause::TimeLimit, Some(Exit::Code(0))), 124);
    }

    #[test]
    fn a_crash_is_never_0() {
        assert_eq!(code(Cause::Watchdog, Some(Exit::Code(0))), 1);
        assert_eq!(code(Cause::GpuMemory, Some(Exit::Code(0))), 1);
        assert_eq!(code(Cause::Unknown, None), 1);
        assert_eq!(exit_code(None), 1);
    }
}
