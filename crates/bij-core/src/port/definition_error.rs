//! The problems of a definition, with their lines.

use std::fmt;

use thiserror::Error;

use crate::printable;

/// A line of a file, or the whole file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceLocation {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1; `None` for the whole file.
    pub line: Option<usize>,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", printable(&self.file)),
            None => f.write_str(&printable(&self.file)),
        }
    }
}

/// One problem of a definition: `x.toml:7: limits.memroy: unknown key`.
///
/// `Display` writes one line of printable text; the fields hold the text as in the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{location}: {}{}", self.key_prefix(), printable(message))]
pub struct Problem {
    /// The file and line of the problem.
    pub location: SourceLocation,
    /// The key, with its table: `limits.memory`.
    pub key: Option<String>,
    /// What was found and what was expected, as one fragment.
    pub message: String,
    /// The remedy, for example the nearest valid key.
    pub hint: Option<String>,
}

impl Problem {
    fn key_prefix(&self) -> String {
        self.key.as_ref().map(|key| format!("{}: ", printable(key))).unwrap_or_default()
    }

    /// Returns the problem and its hint, each on its own line.
    fn with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{self}\n  hint: {}", printable(hint)),
            None => self.to_string(),
        }
    }
}

/// All problems of one definition; never empty.
///
/// `Display` writes a line for each problem and a line for its hint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .problems.iter().map(Problem::with_hint).collect::<Vec<_>>().join("\n"))]
pub struct DefinitionError {
    /// The problems in the order of the file.
    pub problems: Vec<Problem>,
}

impl DefinitionError {
    /// Creates an error of one problem.
    pub fn one(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }

    /// Returns an error of these problems, if there are any.
    ///
    /// # Errors
    /// [`DefinitionError`] unless `problems` is empty.
    pub fn from_problems(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

/// A harmless oddity of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file and line of the oddity.
    pub location: SourceLocation,
    /// What is odd, and what to write instead, as one fragment.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, printable(&self.message))
    }
}
