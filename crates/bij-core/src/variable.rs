//! Environment variables that a definition or a run may set.

mod steering;

use std::fmt;

use thiserror::Error;

pub use steering::steers;

/// Variables that systemd or bij itself sets (systemd.exec(5), "Environment Variables Set on
/// Spawned Processes"); a definition that set them would mislead the process.
const RESERVED: &[&str] = &[
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "EXIT_CODE",
    "EXIT_STATUS",
    "FDSTORE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOGS_DIRECTORY",
    "LOG_NAMESPACE",
    "MAINPID",
    "MANAGERPID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "PIDFILE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "RUNTIME_DIRECTORY",
    "SERVICE_RESULT",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Why a definition may not set a variable of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadVariableName {
    /// It is not the name of a variable.
    Malformed,
    /// systemd or bij sets the variable.
    Reserved,
}

impl BadVariableName {
    /// Returns what is wrong with the name, as a fragment.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Malformed => {
                "the name of a variable has only A-Z a-z 0-9 _ and does not begin with a digit"
            }
            Self::Reserved => "systemd and bij set this variable themselves",
        }
    }

    /// Returns the remedy, as a fragment.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Malformed => "for example: HF_HOME",
            Self::Reserved => "use another name",
        }
    }
}

/// Checks the name of an environment variable that a definition sets.
///
/// # Errors
/// [`BadVariableName`] if the name is malformed, or reserved for systemd and bij.
pub fn check_name(name: &str) -> Result<(), BadVariableName> {
    let first = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
    let rest = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !name.as_bytes().first().is_some_and(first) || !name.bytes().all(rest) {
        return Err(BadVariableName::Malformed);
    }
    let is_ours = ["BIJ_", "MONITOR_", "TRIGGER_"].iter().any(|prefix| name.starts_with(prefix));
    if is_ours || RESERVED.contains(&name) { Err(BadVariableName::Reserved) } else { Ok(()) }
}

/// Checks the value of an environment variable; the error describes the problem.
///
/// systemd drops values with control characters other than tab and newline
/// (`env_value_is_valid`), so the program would never get them.
///
/// # Errors
/// A fragment that names the first control character that is not allowed.
pub fn check_value(value: &str) -> Result<(), String> {
    match value.chars().find(|c| c.is_ascii_control() && !matches!(c, '\t' | '\n')) {
        None => Ok(()),
        Some(bad) => {
            Err(format!("the value contains the control character U+{:04X}", u32::from(bad)))
        }
    }
}

/// The name of a variable, or a prefix of names followed by `*`: `SEED`, `WANDB_*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VariablePattern(String);

/// The error for a text that is not a [`VariablePattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// It is not a valid name.
    #[error("expected the name of a variable, or a prefix of names followed by *")]
    Malformed,
    /// systemd or bij sets the variable.
    #[error("systemd and bij set this variable themselves")]
    Reserved,
    /// The variable decides which code the program runs.
    #[error(
        "this variable decides which code the program runs: only root may set it, and users in runs under their own account"
    )]
    Steers,
}

impl VariablePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`InvalidPattern`] for other text, or a pattern of variables that no member may set.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let (beginning, is_open) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        // A letter makes the prefix a name, even an empty prefix.
        let name = if is_open { format!("{beginning}X") } else { beginning.to_owned() };
        match check_name(&name) {
            Err(BadVariableName::Malformed) => Err(InvalidPattern::Malformed),
            Err(BadVariableName::Reserved) => Err(InvalidPattern::Reserved),
            Ok(()) if steers(beginning) => Err(InvalidPattern::Steers),
            Ok(()) => Ok(Self(text.to_owned())),
        }
    }

    /// Returns the pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the pattern allows a member to set this variable. No pattern matches variables that
    /// decide which code the program runs.
    pub fn matches(&self, name: &str) -> bool {
        let is_match = match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        };
        is_match && !steers(name)
    }
}

impl fmt::Display for VariablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_variables_that_members_may_set() {
        for good in ["SEED", "WANDB_*", "*", "_x", "P*"] {
            assert_eq!(VariablePattern::new(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", InvalidPattern::Malformed),
            ("A*B", InvalidPattern::Malformed),
            ("1A", InvalidPattern::Malformed),
            ("A-B", InvalidPattern::Malformed),
            ("**", InvalidPattern::Malformed),
            ("BIJ_*", InvalidPattern::Reserved),
            ("NOTIFY_SOCKET", InvalidPattern::Reserved),
            ("PYTHONPATH", InvalidPattern::Steers),
            ("LD_*", InvalidPattern::Steers),
            ("PATH", InvalidPattern::Steers),
        ] {
            assert_eq!(VariablePattern::new(bad), Err(why), "{bad}");
        }
        let all = VariablePattern::new("*").unwrap();
        assert!(all.matches("SEED") && !all.matches("PYTHONPATH") && !all.matches("HOME"));
        assert!(!VariablePattern::new("P*").unwrap().matches("PATH"));
    }
}
