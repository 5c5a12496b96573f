//! Parses the variables of the environment.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::NotifyError;
use crate::notify::Notifier;

/// A source of variables; an empty variable counts as unset.
pub(crate) struct Variables<F>(pub(crate) F);

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn get(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, EnvironmentError> {
        let not_utf8 = |_| EnvironmentError::NotUtf8 { name };
        self.get(name).map(|value| value.into_string().map_err(not_utf8)).transpose()
    }

    pub(crate) fn number<N: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<N>, EnvironmentError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse().map_err(|_| EnvironmentError::NotANumber { name, found: text });
        number.map(Some)
    }

    pub(crate) fn notifier(&self) -> Result<Option<Notifier>, EnvironmentError> {
        let notifier = self.get("NOTIFY_SOCKET").map(|address| Notifier::open(&address));
        notifier.transpose().map_err(EnvironmentError::NotifySocket)
    }

    pub(crate) fn watchdog(&self, own_pid: u32) -> Result<Option<Duration>, EnvironmentError> {
        let is_for_this_process =
            self.number("WATCHDOG_PID")?.is_none_or(|pid: u32| pid == own_pid);
        let timeout: Option<u64> = self.number("WATCHDOG_USEC")?;
        Ok(timeout.filter(|usec| is_for_this_process && *usec > 0).map(Duration::from_micros))
    }
}

/// A variable has an invalid value.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// It is not a number of the expected size.
    NotANumber {
        /// Name of the variable.
        name: &'static str,
        /// Value of the variable.
        found: String,
    },
    /// It is not UTF-8.
    NotUtf8 {
        /// Name of the variable.
        name: &'static str,
    },
    /// `NOTIFY_SOCKET` cannot be used.
    NotifySocket(NotifyError),
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber { name, found } => write!(f, "{name}={found:?} is not a valid number"),
            Self::NotUtf8 { name } => write!(f, "{name} is not UTF-8"),
            Self::NotifySocket(_) => f.write_str("the supervisor cannot be notified"),
        }
    }
}

impl Error for EnvironmentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotifySocket(source) => Some(source),
            Self::NotANumber { .. } | Self::NotUtf8 { .. } => None,
        }
    }
}
