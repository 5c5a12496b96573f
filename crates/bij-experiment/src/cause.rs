//! Causes of the end of an attempt.

use std::fmt;

/// Why the previous attempt ended (`BIJ_LAST_CAUSE`).
///
/// The set is open: a newer bij may have causes that this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// It exited with code 0.
    Success,
    /// It exited with another code.
    Exit,
    /// A signal killed it.
    Signal,
    /// The kernel killed it for lack of memory.
    OomKill,
    /// It sent no heartbeat in the time that its watchdog allows.
    Watchdog,
    /// It never ran: it could not be prepared or executed.
    StartFailed,
    /// It did not report in time that it was ready.
    StartTimeout,
    /// It did not exit in time after a stop, and was killed.
    StopTimeout,
    /// It ran longer than its time limit.
    TimeLimit,
    /// A user or an administrator stopped it.
    Stopped,
    /// It was stopped because the board was too hot.
    Heat,
    /// It was stopped because it exceeded its limit of GPU memory.
    GpuMemory,
    /// The machine was shut down cleanly.
    Reboot,
    /// The service manager of its user was stopped, usually with the last session.
    ManagerStop,
    /// The machine lost power or crashed.
    PowerLoss,
    /// It ended without evidence of the cause.
    Unknown,
    /// A cause that this crate does not know.
    Other(String),
}

const WORDS: [(&str, Cause); 16] = [
    ("success", Cause::Success),
    ("exit", Cause::Exit),
    ("signal", Cause::Signal),
    ("oom-kill", Cause::OomKill),
    ("watchdog", Cause::Watchdog),
    ("start-failed", Cause::StartFailed),
    ("start-timeout", Cause::StartTimeout),
    ("stop-timeout", Cause::StopTimeout),
    ("time-limit", Cause::TimeLimit),
    ("stopped", Cause::Stopped),
    ("heat", Cause::Heat),
    ("gpu-memory", Cause::GpuMemory),
    ("reboot", Cause::Reboot),
    ("manager-stop", Cause::ManagerStop),
    ("power-loss", Cause::PowerLoss),
    ("unknown", Cause::Unknown),
];

impl From<&str> for Cause {
    fn from(word: &str) -> Self {
        WORDS
            .into_iter()
            .find(|(known, _)| *known == word)
            .map_or_else(|| Self::Other(word.to_owned()), |(_, cause)| cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Other(word) => word.as_str(),
            known => {
                let known = WORDS.iter().find(|(_, cause)| cause == known);
                known.map(|(word, _)| *word).expect("every cause but Other stands in the table")
            }
        };
        f.pad(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_as_itself() {
        for (word, cause) in WORDS {
            assert_eq!(Cause::from(word), cause);
            assert_eq!(cause.to_string(), word);
        }
    }

    #[test]
    fn a_word_of_a_newer_bij_is_kept() {
        assert_eq!(Cause::from("eaten-by-wolves"), Cause::Other("eaten-by-wolves".into()));
        assert_eq!(Cause::from("eaten-by-wolves").to_string(), "eaten-by-wolves");
    }
}
