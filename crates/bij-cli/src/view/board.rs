//! The machine's hardware.

mod json;
mod text;

use std::io::{self, Write};

use bij_jetson::BoardSample;
use serde::{Serialize, Serializer};

use super::{Format, View};

/// One reading of the machine: `bij board`.
#[derive(Clone, Debug)]
pub(crate) struct BoardPage {
    sample: BoardSample,
}

impl BoardPage {
    pub(crate) fn new(sample: &BoardSample) -> Self {
        Self { sample: sample.clone() }
    }
}

impl Serialize for BoardPage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::Board::of(&self.sample).serialize(serializer)
    }
}

impl View for BoardPage {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        text::write(&self.sample, out, format)
    }
}

#[cfg(test)]
mod tests;
