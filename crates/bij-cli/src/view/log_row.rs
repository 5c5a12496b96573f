//! Log lines.

use std::io::{self, Write};

use bij_core::{ExperimentId, Timestamp};
use serde::Serialize;

use super::{TextFormat, Tone, View, last_frame, time, visible};

/// A log line of an experiment, or of another writer about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LogRow {
    pub(crate) at: Timestamp,
    pub(crate) id: ExperimentId,
    /// The writer, if it is not the experiment: `systemd`, `bij-hook`.
    pub(crate) writer: Option<String>,
    pub(crate) message: String,
    /// The colour of the experiment's name in the text, by the experiment's index.
    #[serde(skip)]
    pub(crate) hue: Option<usize>,
}

impl LogRow {
    fn head(&self, format: &TextFormat) -> String {
        let tone = self.hue.map_or(Tone::Plain, Tone::Nth);
        let id = format.paint(tone, self.id.as_str());
        let writer =
            self.writer.as_ref().map_or_else(String::new, |name| format!(" {}", visible(name)));
        format!("{id}{writer}:")
    }

    fn body(&self) -> String {
        visible(last_frame(&self.message)).into_owned()
    }

    /// Writes the line as `systemctl status` shows it.
    pub(crate) fn write_syslog(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let line =
            format!("{} {} {}", time::syslog(self.at, format), self.head(format), self.body());
        writeln!(out, "{line}")
    }
}

impl View for LogRow {
    /// Writes the line as `journalctl -o short-iso` does, but with the experiment's name in place of the host's.
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        writeln!(out, "{} {} {}", time::iso(self.at, format), self.head(format), self.body())
    }
}
