//! The format of text.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use bij_core::{BootId, Timestamp, Uptime};
use bij_host::{boot_id, uptime};
use jiff::tz::TimeZone;

/// The properties of the output and its reader that text depends on.
#[derive(Clone, Debug)]
pub(crate) struct TextFormat {
    /// Whether colours are shown.
    pub(crate) colour: bool,
    /// Whether the output is a terminal; its width may still be unknown.
    pub(crate) is_terminal: bool,
    /// The width in columns; `None` is unbounded.
    pub(crate) width: Option<usize>,
    /// The current time, by the system's clock.
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
    /// Up, or ended with success.
    Good,
    Bad,
    /// In transition, or unusual.
    Busy,
    /// The title of a column.
    Heading,
    /// Emphasized, as hints are.
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

impl TextFormat {
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
            zone: TimeZone::UTC.into(),
        }
    }
}

/// The boot id and the uptime, read when they are first used.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootClock(OnceLock<Option<(BootId, Uptime)>>);

impl BootClock {
    /// Returns the boot id and the uptime; `None` if they cannot be read.
    pub(crate) fn get(&self) -> Option<(BootId, Uptime)> {
        *self.0.get_or_init(|| Some((boot_id(Path::new("/")).ok()?, uptime()?)))
    }
}

#[cfg(test)]
impl From<(BootId, Uptime)> for BootClock {
    fn from(clock: (BootId, Uptime)) -> Self {
        Self(Some(clock).into())
    }
}

/// The local time zone, read at its first use: most calls need none.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalZone(OnceLock<TimeZone>);

impl LocalZone {
    pub(crate) fn get(&self) -> &TimeZone {
        self.0.get_or_init(local)
    }
}

#[cfg(test)]
impl From<TimeZone> for LocalZone {
    fn from(zone: TimeZone) -> Self {
        Self(zone.into())
    }
}

/// Reads the zone of localtime(5). `TimeZone::system` would search all of /usr/share/zoneinfo for the zone's name,
/// which is not needed.
fn local() -> TimeZone {
    let is_set = std::env::var_os("TZ").is_some();
    let file = (!is_set).then(|| fs::read("/etc/localtime").ok()).flatten();
    let zone = file.and_then(|data| TimeZone::tzif("Local", &data).ok());
    zone.unwrap_or_else(TimeZone::system)
}
