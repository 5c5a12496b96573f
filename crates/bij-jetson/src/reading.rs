//! One reading of one quantity: a value, or why there is none.

use std::io;

use nix::errno::Errno;
use thiserror::Error;

/// A value, or why there is none. A missing sensor is told, never guessed.
pub type Reading<T> = Result<T, WhyNot>;

/// Why a quantity has no value; `Display` begins with a word that stays the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
#[non_exhaustive]
pub enum WhyNot {
    /// This machine, or its kernel, has no such thing.
    #[error("absent")]
    Absent,
    /// It is there and powered off, or switched off.
    #[error("off")]
    Off,
    /// Not for this user to see.
    #[error("forbidden: only root may read it")]
    Forbidden,
    /// What stands there is not what should.
    #[error("unparsable: {0:?}")]
    Unparsable(String),
    /// No answer in time; nothing else is held up by it.
    #[error("blocked: no answer in time")]
    Blocked,
    /// What is there does not measure it.
    #[error("unmeasured: {0}")]
    Unmeasured(String),
    /// One source says something that another one rules out.
    #[error("contradicted: {0}")]
    Contradicted(String),
    /// The system said something else.
    #[error("failed: {0}")]
    Failed(String),
}

/// So much of an unparsable text is kept.
const KEPT: usize = 80;

impl WhyNot {
    /// Bytes that are not what they should be, cut to a length that a line can bear.
    pub(crate) fn unparsable(found: &[u8]) -> Self {
        Self::Unparsable(String::from_utf8_lossy(found).chars().take(KEPT).collect())
    }
}

impl From<io::Error> for WhyNot {
    fn from(error: io::Error) -> Self {
        let Some(code) = error.raw_os_error() else {
            // An error of our own making: see `patience`.
            return match error.kind() {
                io::ErrorKind::TimedOut => Self::Blocked,
                io::ErrorKind::NotFound => Self::Absent,
                _ => Self::unparsable(error.to_string().as_bytes()),
            };
        };
        match Errno::from_raw(code) {
            // ENODEV and ENXIO: the driver went away between listing and reading.
            Errno::ENOENT | Errno::ENOTDIR | Errno::ENODEV | Errno::ENXIO => Self::Absent,
            Errno::EACCES | Errno::EPERM => Self::Forbidden,
            // A zone whose unit has no power (the driver's name for BPMP's -EFAULT), a channel that
            // the device tree disables.
            Errno::EAGAIN | Errno::ENODATA => Self::Off,
            other => Self::Failed(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_answers_have_reasons() {
        let why = |code: Errno| WhyNot::from(io::Error::from(code));
        assert_eq!(why(Errno::ENOENT), WhyNot::Absent);
        assert_eq!(why(Errno::EACCES), WhyNot::Forbidden);
        assert_eq!(why(Errno::EAGAIN), WhyNot::Off);
        assert_eq!(why(Errno::ENODATA), WhyNot::Off);
        assert_eq!(why(Errno::EIO).to_string(), "failed: EIO: I/O error");
        assert_eq!(
            why(Errno::ETIMEDOUT),
            WhyNot::Failed(Errno::ETIMEDOUT.to_string()),
            "a bus that gave up has answered"
        );
        assert_eq!(WhyNot::from(io::Error::from(io::ErrorKind::TimedOut)), WhyNot::Blocked);
    }

    #[test]
    fn rubbish_is_shown_short() {
        let WhyNot::Unparsable(found) = WhyNot::unparsable(&[b'x'; 5000]) else { panic!() };
        assert_eq!(found.len(), KEPT);
    }
}
