//! Lines that experiments wrote.

use std::io::{self, Write};

use bij_core::{ExperimentId, Timestamp};
use serde::Serialize;

use super::escape::{last_frame, visible};
use super::{Format, Tone, View, time};

/// One line of an experiment, or of the manager about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LogRow {
    pub(crate) at: Timestamp,
    pub(crate) id: ExperimentId,
    /// Who wrote it, if not the experiment: `systemd`, `bij-hook`.
    pub(crate) writer: Option<String>,
    pub(crate) message: String,
    /// For people: the experiment's place among those that are shown together.
    #[serde(skip)]
    pub(crate) hue: Option<usize>,
}

impl LogRow {
    fn head(&self, format: &Format) -> String {
        let tone = self.hue.map_or(Tone::Plain, Tone::Nth);
        let id = format.paint(tone, self.id.as_str());
        let writer =
            self.writer.as_ref().map_or_else(String::new, |name| format!(" {}", visible(name)));
        format!("{id}{writer}:")
    }

    fn body(&self) -> String {
        visible(last_frame(&self.message)).into_owned()
    }

    /// As `systemctl status` shows it.
    pub(crate) fn syslog(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        let line =
            format!("{} {} {}", time::syslog(self.at, format), self.head(format), self.body());
        writeln!(out, "{line}")
    }
}

impl View for LogRow {
    /// As `journalctl -o short-iso` shows it, with the experiment's name for the host's: all lines
    /// come from this machine.
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        writeln!(out, "{} {} {}", time::iso(self.at, format), self.head(format), self.body())
    }
}
