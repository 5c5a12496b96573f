//! Evidence of a program about its own child process (`std::process`).

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use super::{Evidence, Exit, Witness};
use crate::{ServiceResult, printable};

impl Exit {
    /// Returns how a process ended, from its wait status. `None` for the status of a process that has not ended,
    /// which `Child::wait` never returns (wait(2): stopped or continued).
    pub fn from_status(status: ExitStatus) -> Option<Self> {
        match (status.code(), status.signal()) {
            (Some(code), _) => Some(Self::Code(code)),
            (None, Some(signal)) if status.core_dumped() => Some(Self::CoreDump(signal)),
            (None, Some(signal)) => Some(Self::Signal(signal)),
            (None, None) => None,
        }
    }
}

impl Evidence {
    /// Creates the evidence of a supervisor whose child process was executed and has ended.
    ///
    /// ```
    /// use std::process::Command;
    ///
    /// use bij_core::{Cause, Evidence};
    ///
    /// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// let evidence = Evidence::from_exit_status(child.wait()?);
    /// assert_eq!(evidence.prove(), Cause::Exit);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// A supervisor that has stopped the child also sets [`order`](Self::order), because otherwise the signal counts
    /// as a crash.
    pub fn from_exit_status(status: ExitStatus) -> Self {
        Self {
            witness: Some(Witness::Supervisor),
            exit: Exit::from_status(status),
            became_ready: true,
            ..Self::default()
        }
    }

    /// Creates the evidence of a supervisor whose command could not be spawned. It proves
    /// [`Cause::StartFailed`](crate::Cause::StartFailed), and a note has the error.
    pub fn from_spawn_error(error: &io::Error) -> Self {
        Self {
            witness: Some(Witness::Supervisor),
            service_result: Some(ServiceResult::Resources),
            notes: vec![format!(
                "the command could not be executed: {}",
                printable(&error.to_string())
            )],
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, Order};

    #[test]
    fn a_wait_status_says_how_a_process_ended() {
        let exit = |raw| Exit::from_status(ExitStatus::from_raw(raw));
        assert_eq!(exit(0), Some(Exit::Code(0)));
        assert_eq!(exit(3 << 8), Some(Exit::Code(3)));
        assert_eq!(exit(255 << 8), Some(Exit::Code(255)));
        assert_eq!(exit(9), Some(Exit::Signal(9)));
        assert_eq!(exit(0x8b), Some(Exit::CoreDump(11)));
        assert_eq!(exit(0x137f), None, "stopped by SIGSTOP");
        assert_eq!(exit(0xffff), None, "continued");
    }

    #[test]
    fn the_exit_of_an_executed_child_proves_its_cause() {
        let evidence = |raw| Evidence::from_exit_status(ExitStatus::from_raw(raw));
        for (raw, cause) in [
            (0, Cause::Success),
            (3 << 8, Cause::Exit),
            (203 << 8, Cause::Exit),
            (11, Cause::Signal),
            (0x8b, Cause::Signal),
        ] {
            assert_eq!(evidence(raw).prove(), cause, "{raw:#x}");
        }
        let stopped = Evidence { order: Some(Order::stop("the supervisor")), ..evidence(15) };
        assert_eq!(stopped.prove(), Cause::Stopped);
    }

    #[test]
    fn a_command_that_cannot_be_spawned_is_a_failed_start() {
        let evidence = Evidence::from_spawn_error(&io::ErrorKind::NotFound.into());
        assert_eq!(evidence.prove(), Cause::StartFailed);
        assert!(evidence.prove().is_crash(None));
        assert_eq!(evidence.notes, ["the command could not be executed: entity not found"]);
        let hostile = Evidence::from_spawn_error(&io::Error::other("\u{1b}[2J"));
        assert!(hostile.notes[0].chars().all(crate::is_printable));
    }
}
