//! The format of text.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use bij_core::Timestamp;
#[cfg(test)]
use bij_core::{BootId, Uptime};

use super::{BootClock, LocalZone};

/// The properties of the output and its reader that text depends on.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    /// Whether colours are shown.
    pub(crate) colour: bool,
    /// Whether the output is a terminal; its width may still be unknown.
    pub(crate) is_terminal: bool,
    /// The width in columns; `None` is unbounded.
    pub(crate) width: Option<usize>,
    /// The current time.
    pub(crate) now: Timestamp,
    /// The clock of the boot, which is never set.
    pub(crate) boot: BootClock,
    /// The reader's time zone.
    pub(crate) zone: LocalZone,
}

/// The meaning of a piece of text, which decides its colour as in systemctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// Up, or successful.
    Good,
    Bad,
    /// In transition, or unusual.
    Busy,
    /// The title of a column.
    Heading,
    /// Emphasized.
    Accent,
    /// One of several experiments, by its index.
    Nth(usize),
}

/// Colours that distinguish experiments; red and yellow have other meanings.
const HUES: [AnsiColor; 5] =
    [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Green, AnsiColor::Blue, AnsiColor::BrightCyan];

impl Tone {
    fn style(self) -> Style {
        let plain = Style::new();
        let colour = |colour: AnsiColor| plain.fg_color(Some(colour.into()));
        match self {
            Self::Plain => plain,
            Self::Good => colour(AnsiColor::Green).bold(),
            Self::Bad => colour(AnsiColor::Red).bold(),
            Self::Busy => colour(AnsiColor::Yellow).bold(),
            Self::Heading => plain.underline(),
            Self::Accent => colour(AnsiColor::Cyan),
            Self::Nth(index) => colour(HUES[index % HUES.len()]),
        }
    }
}

impl Format {
    /// Returns the text in the colour of its tone, if colours are shown.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let mut painted = String::with_capacity(text.len());
        self.paint_onto(&mut painted, tone, text);
        painted
    }

    /// Appends the painted text to a line.
    pub(crate) fn paint_onto(&self, line: &mut String, tone: Tone, text: &str) {
        if self.colour && tone != Tone::Plain {
            let style = tone.style();
            // Writing to a String cannot fail.
            let _ = write!(line, "{style}{text}{style:#}");
        } else {
            line.push_str(text);
        }
    }

    /// Returns a format for tests: no colours, no terminal, a fixed time, UTC.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self {
            colour: false,
            is_terminal: false,
            width: None,
            now: "2026-11-23T22:10:05Z".parse().unwrap(),
            boot: (BootId::from_bytes([1; 16]), Uptime::from_secs(1000)).into(),
            zone: jiff::tz::TimeZone::UTC.into(),
        }
    }
}
