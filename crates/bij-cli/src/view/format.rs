//! How text is to look.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use bij_core::Timestamp;
#[cfg(test)]
use bij_core::{BootId, TimeSpan};

use super::{BootClock, Zone};

/// Everything about the reader that changes how text looks.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    /// Whether colours are shown.
    pub(crate) colour: bool,
    /// Whether a terminal shows it, whose columns may be unknown.
    pub(crate) is_terminal: bool,
    /// The columns that fit; unbounded where no terminal is.
    pub(crate) width: Option<usize>,
    /// What time it is.
    pub(crate) now: Timestamp,
    /// The same by the clock of the boot, which is not set.
    pub(crate) boot: BootClock,
    /// Where the reader's clock hangs.
    pub(crate) zone: Zone,
}

/// What a piece of text means; the colours are systemctl's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// It is up, or went well.
    Good,
    /// It failed.
    Bad,
    /// It is on its way, or odd.
    Busy,
    /// A heading.
    Heading,
    /// Told apart from its neighbours.
    Accent,
    /// One of several experiments, by its place among them.
    Nth(usize),
}

/// Colours to tell experiments apart; red and yellow mean something already.
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
            Self::Nth(place) => colour(HUES[place % HUES.len()]),
        }
    }
}

impl Format {
    /// The text with its tone, if colours are shown.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let mut painted = String::with_capacity(text.len());
        self.paint_onto(&mut painted, tone, text);
        painted
    }

    /// The same at the end of a line.
    pub(crate) fn paint_onto(&self, line: &mut String, tone: Tone, text: &str) {
        if self.colour && tone != Tone::Plain {
            let style = tone.style();
            // Writing to a String cannot fail.
            let _ = write!(line, "{style}{text}{style:#}");
        } else {
            line.push_str(text);
        }
    }

    /// A format for tests: no colours, no terminal, a fixed time, UTC.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self {
            colour: false,
            is_terminal: false,
            width: None,
            now: "2026-11-23T22:10:05Z".parse().unwrap(),
            boot: (BootId::from_bytes([1; 16]), TimeSpan::from_secs(1000)).into(),
            zone: jiff::tz::TimeZone::UTC.into(),
        }
    }
}
