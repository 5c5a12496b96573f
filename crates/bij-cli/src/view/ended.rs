//! Runs that have ended.

use std::io::{self, Write};

use bij_core::{RunEnd, RunId};
use serde::Serialize;

use super::{Format, View};

/// The result of `bij wait`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct EndedRuns(pub(crate) Vec<EndedRun>);

/// A run that has ended, with its exit code.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EndedRun {
    #[serde(serialize_with = "as_text")]
    pub(crate) run: RunId,
    #[serde(rename = "ended")]
    pub(crate) end: Option<RunEnd>,
    #[serde(rename = "exit_code")]
    pub(crate) code: u8,
}

fn as_text<S: serde::Serializer>(run: &RunId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(run)
}

impl EndedRun {
    /// Returns the status line: `x#3: ended: gave-up, exit code 137`.
    pub(crate) fn sentence(&self) -> String {
        let Self { run, end, code } = self;
        let end = end.map_or_else(String::new, |end| format!(": {end}"));
        match code {
            0 => format!("{run}: ended{end}"),
            code => format!("{run}: ended{end}, exit code {code}"),
        }
    }
}

impl View for EndedRuns {
    /// Writes nothing: each end was already reported on stderr.
    fn text(&self, _: &mut dyn Write, _: &Format) -> io::Result<()> {
        Ok(())
    }
}
