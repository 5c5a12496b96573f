//! One reading of one quantity: a value, or the reason why there is none.

use std::io;

use nix::errno::Errno;
use thiserror::Error;

/// A value, or the reason why there is none. A missing value is never guessed.
pub type Reading<T> = Result<T, WhyNot>;

/// Why a quantity has no value; the first word of its `Display` is stable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum WhyNot {
    /// This machine or its kernel does not have it.
    #[error("absent")]
    Absent,
    /// The device is switched off or has no power.
    #[error("off")]
    Off,
    /// The user may not read it.
    #[error("forbidden: only root may read it")]
    Forbidden,
    /// The content is not of the expected form.
    #[error("unparsable: {0:?}")]
    Unparsable(String),
    /// The read did not return within the deadline.
    #[error("blocked: no answer in time")]
    Blocked,
    /// The device or driver does not measure it.
    #[error("unmeasured: {0}")]
    Unmeasured(String),
    /// Two sources contradict each other.
    #[error("contradicted: {0}")]
    Contradicted(String),
    /// The system returned another error.
    #[error("failed: {0}")]
    Failed(String),
}

/// Maximum number of characters of an unparsable text that are kept.
const MAX_TEXT: usize = 80;

impl WhyNot {
    /// Returns `Unparsable` with these bytes, truncated to fit a line.
    pub(crate) fn unparsable(found: &[u8]) -> Self {
        Self::Unparsable(String::from_utf8_lossy(found).chars().take(MAX_TEXT).collect())
    }
}

impl From<io::Error> for WhyNot {
    fn from(error: io::Error) -> Self {
        let Some(code) = error.raw_os_error() else {
            // Errors without a code are our own: see `read_deadline`.
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
    fn the_systems_errors_map_to_reasons() {
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
    fn an_unparsable_text_is_truncated() {
        let WhyNot::Unparsable(found) = WhyNot::unparsable(&[b'x'; 5000]) else { panic!() };
        assert_eq!(found.len(), MAX_TEXT);
    }
}
