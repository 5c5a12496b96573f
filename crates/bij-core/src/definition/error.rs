//! What can be wrong with a definition, and where.

use std::fmt;

use thiserror::Error;

use crate::printable;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1; absent where the whole file is meant.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", printable(&self.file)),
            None => f.write_str(&printable(&self.file)),
        }
    }
}

/// One thing that is wrong: `x.toml:7: limits.memroy: unknown key`.
///
/// Displayed, it is one line in which everything can be seen; its fields are as in the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {}{}", self.key_prefix(), printable(message))]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key, with its table: `limits.memory`.
    pub key: Option<String>,
    /// What was found and what should stand there, as one fragment.
    pub message: String,
    /// What to do about it, for example the nearest right key.
    pub hint: Option<String>,
}

impl Problem {
    fn key_prefix(&self) -> String {
        self.key.as_ref().map(|key| format!("{}: ", printable(key))).unwrap_or_default()
    }

    /// The problem and, on a line of its own, what to do about it.
    fn with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{self}\n  hint: {}", printable(hint)),
            None => self.to_string(),
        }
    }
}

/// Everything that is wrong with one definition; never empty.
///
/// Displayed, each problem has a line, and below it a line with its hint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .problems.iter().map(Problem::with_hint).collect::<Vec<_>>().join("\n"))]
pub struct DefinitionError {
    /// The problems in the order of the file.
    pub problems: Vec<Problem>,
}

impl DefinitionError {
    /// The error of one problem.
    pub fn one(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }

    /// The error of these problems, if there are any.
    pub(crate) fn from_problems(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

/// Something odd that does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, printable(&self.message))
    }
}
