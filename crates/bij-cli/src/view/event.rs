//! Events, one per line.

use bij_core::queue::{Event, EventKind};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, Write};

use super::escape::visible;
use super::{Format, Tone, View, time};

/// One event: a line of `bij events`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct EventLine(pub(crate) Event);

impl View for EventLine {
    /// Writes the time as `journalctl -o short-iso` does, the number, the kind, the run, and the data.
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        let Event { seq, at, kind, experiment, run, attempt, data } = &self.0;
        let kind = format.paint(tone(*kind, data.contains_key("crash")), kind.as_str());
        write!(out, "{} {seq} {kind}", time::iso(*at, format))?;
        match (experiment, run) {
            (Some(experiment), Some(run)) => write!(out, " {experiment}#{run}")?,
            (Some(experiment), None) => write!(out, " {experiment}")?,
            (None, _) => {}
        }
        if let Some(attempt) = attempt {
            write!(out, " attempt={attempt}")?;
        }
        for (key, value) in data {
            write!(out, " {}={}", visible(key), word(value))?;
        }
        writeln!(out)
    }
}

/// Returns a value as one word, in quotation marks if it needs them.
fn word(value: &str) -> Cow<'_, str> {
    let quoted = value.is_empty() || value.contains([' ', '"', '=']);
    let value = visible(value);
    if quoted { format!("\"{}\"", value.replace('"', "\\\"")).into() } else { value }
}

fn tone(kind: EventKind, crash: bool) -> Tone {
    match kind {
        EventKind::QueueLost | EventKind::ActionFailed => Tone::Bad,
        EventKind::AttemptEnded if crash => Tone::Bad,
        EventKind::StartSkipped | EventKind::Held | EventKind::Paused | EventKind::Heat => {
            Tone::Busy
        }
        EventKind::AttemptBegun => Tone::Good,
        EventKind::Submitted
        | EventKind::Edited
        | EventKind::Moved
        | EventKind::Released
        | EventKind::Admitted
        | EventKind::Requeued
        | EventKind::StopRequested
        | EventKind::RunEnded
        | EventKind::AttemptEnded
        | EventKind::Resumed
        | EventKind::GroupChanged
        | EventKind::Health
        | EventKind::PowerMode
        | EventKind::Clocks
        | EventKind::CoordinatorStarted
        | EventKind::Reloaded => Tone::Plain,
    }
}

#[cfg(test)]
mod tests;
