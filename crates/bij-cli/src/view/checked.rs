//! The findings of `bij check`.

use std::io::{self, Write};

use bij_core::port::{Problem, Warning};
use serde::Serialize;

use super::escape::visible;
use super::{Format, Tone, View};

/// The checked definitions: `bij check`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Checked(pub(crate) Vec<CheckedDefinition>);

/// One definition with its findings.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckedDefinition {
    /// Its id; for a file outside the directories of definitions, the id that it would get.
    pub(crate) id: Option<String>,
    /// The path of its file.
    pub(crate) source: String,
    /// Whether the definition can be used.
    pub(crate) ok: bool,
    pub(crate) problems: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

/// A problem or a warning.
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
    /// Creates a finding about a setting of a file; its line is not known.
    pub(crate) fn about_key(file: &str, key: &str, message: String) -> Self {
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
        for definition in &self.0 {
            for problem in &definition.problems {
                problem.write(out, format, Tone::Bad, "error")?;
            }
            for warning in &definition.warnings {
                warning.write(out, format, Tone::Busy, "warning")?;
            }
            if definition.ok {
                let word = format.paint(Tone::Good, "ok");
                writeln!(out, "{}: {word}", visible(&definition.source))?;
            }
        }
        Ok(())
    }
}
