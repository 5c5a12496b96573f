//! The machine's hardware.

mod json;
mod text;

use std::io::{self, Write};

use bij_core::Timestamp;
use bij_jetson::{HardwareReading, Reading};
use serde::{Serialize, Serializer};

use super::{Format, View};

/// One reading of the machine: `bij board`.
#[derive(Clone, Debug)]
pub(crate) struct BoardPage {
    sample: HardwareReading,
    /// Whether all clocks are held at their present rates.
    clocks_held: Reading<bool>,
}

impl BoardPage {
    pub(crate) fn new(sample: &HardwareReading, clocks_held: Reading<bool>) -> Self {
        Self { sample: sample.clone(), clocks_held }
    }
}

impl Serialize for BoardPage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::JsonBoard::new(&self.sample, &self.clocks_held).serialize(serializer)
    }
}

/// One reading with its time: a line of `bij --json board --watch`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TimedBoard {
    at: Timestamp,
    #[serde(flatten)]
    board: BoardPage,
}

impl TimedBoard {
    pub(crate) fn new(at: Timestamp, sample: &HardwareReading, clocks_held: Reading<bool>) -> Self {
        Self { at, board: BoardPage::new(sample, clocks_held) }
    }
}

impl View for TimedBoard {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        self.board.text(out, format)
    }
}

impl View for BoardPage {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        text::write(&self.sample, self.clocks_held == Ok(true), out, format)
    }
}

#[cfg(test)]
mod tests;
