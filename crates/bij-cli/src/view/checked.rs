//! What is wrong with definitions.

use std::io::{self, Write};

use bij_core::definition::{Problem, Warning};
use serde::Serialize;

use super::escape::visible;
use super::{Format, Tone, View};

/// What was found in checking: `bij check`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Checked(pub(crate) Vec<CheckedDefinition>);

/// One definition.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckedDefinition {
    /// Its id; a file that is not in a directory of definitions has the name it would get.
    pub(crate) id: Option<String>,
    /// The file.
    pub(crate) source: String,
    /// Whether it can be used.
    pub(crate) ok: bool,
    pub(crate) problems: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

/// One thing that is wrong or odd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: Option<usize>,
    pub(crate) key: Option<String>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            file: problem.place.file.clone(),
            line: problem.place.line,
            key: problem.key.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

impl From<&Warning> for Finding {
    fn from(warning: &Warning) -> Self {
        Self {
            file: warning.place.file.clone(),
            line: warning.place.line,
            key: None,
            message: warning.message.clone(),
            hint: None,
        }
    }
}

impl Finding {
    /// Something found by looking at the machine, not at a line of the file.
    pub(crate) fn of_file(file: &str, key: &str, message: String) -> Self {
        let key = Some(key.to_owned());
        Self { file: file.to_owned(), line: None, key, message, hint: None }
    }

    fn write(
        &self,
        out: &mut dyn Write,
        format: &Format,
        tone: Tone,
        word: &str,
    ) -> io::Result<()> {
        let place = match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        };
        let key = self.key.as_ref().map_or_else(String::new, |key| format!("{}: ", visible(key)));
        let word = format.paint(tone, word);
        writeln!(out, "{}: {word}: {key}{}", visible(&place), visible(&self.message))?;
        match &self.hint {
            Some(hint) => {
                writeln!(out, "  {} {}", format.paint(Tone::Accent, "hint:"), visible(hint))
            }
            None => Ok(()),
        }
    }
}

impl View for Checked {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        for one in &self.0 {
            for problem in &one.problems {
                problem.write(out, format, Tone::Bad, "error")?;
            }
            for warning in &one.warnings {
                warning.write(out, format, Tone::Busy, "warning")?;
            }
            if one.ok {
                writeln!(out, "{}: {}", visible(&one.source), format.paint(Tone::Good, "ok"))?;
            }
        }
        Ok(())
    }
}
