//! The low-level states of a service.

use std::fmt;
use std::str::FromStr;

foreign_words! {
    /// `SubState` of a service (systemd's `src/core/service.c`).
    SubState {
        /// The unit is not running.
        Dead = "dead",
        /// `ExecCondition=` is being checked.
        Condition = "condition",
        /// The commands of `ExecStartPre=` run.
        StartPre = "start-pre",
        /// The main process was started and is not ready yet.
        Start = "start",
        /// The commands of `ExecStartPost=` run.
        StartPost = "start-post",
        /// The main process runs.
        Running = "running",
        /// The main process has ended, and the unit stays active without it.
        Exited = "exited",
        /// The commands of `ExecReload=` run.
        Reload = "reload",
        /// The main process was asked to reload by a signal.
        ReloadSignal = "reload-signal",
        /// The main process reloads.
        ReloadNotify = "reload-notify",
        /// The commands of `ExecStop=` run.
        Stop = "stop",
        /// The processes got the signal for a missed watchdog message.
        StopWatchdog = "stop-watchdog",
        /// The processes got the stop signal.
        StopSigterm = "stop-sigterm",
        /// The processes were killed after the stop signal.
        StopSigkill = "stop-sigkill",
        /// The commands of `ExecStopPost=` run.
        StopPost = "stop-post",
        /// The processes that `ExecStopPost=` has left got the signal for a missed watchdog message.
        FinalWatchdog = "final-watchdog",
        /// The processes that `ExecStopPost=` has left got the stop signal.
        FinalSigterm = "final-sigterm",
        /// The processes that `ExecStopPost=` has left were killed.
        FinalSigkill = "final-sigkill",
        /// The unit is not running because it failed.
        Failed = "failed",
        /// The unit waits for its automatic restart until `RestartSec=` is over.
        AutoRestart = "auto-restart",
        /// The start job of an automatic restart is queued (systemd 254 and later).
        AutoRestartQueued = "auto-restart-queued",
        /// `systemctl clean` removes the unit's directories.
        Cleaning = "cleaning",
    }
}

impl SubState {
    /// Returns whether an automatic restart is due, which means that the unit is activating without a process.
    pub const fn is_waiting_for_restart(&self) -> bool {
        matches!(self, Self::AutoRestart | Self::AutoRestartQueued)
    }

    /// Returns whether all commands of the unit have ended, and only processes that they have left are being stopped.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::FinalWatchdog | Self::FinalSigterm | Self::FinalSigkill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_restart_is_a_restart_and_an_unknown_word_is_kept() {
        for word in ["auto-restart", "auto-restart-queued"] {
            assert!(SubState::from(word).is_waiting_for_restart(), "{word}");
        }
        let unknown = SubState::from("dead-before-auto-restart");
        assert!(!unknown.is_waiting_for_restart());
        assert_eq!(unknown.as_str(), "dead-before-auto-restart");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_state_is_serialized_as_systemds_word() {
        assert_eq!(serde_json::to_string(&SubState::StopPost).unwrap(), "\"stop-post\"");
    }
}
