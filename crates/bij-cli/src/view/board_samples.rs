//! The samples of the board that the coordinator keeps in memory.

use std::io::{self, Write};

use bij_core::request::{RecordedSample, ZoneSample};
use bij_core::{Celsius, Milliwatts};
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Format, Tone, View, time};

/// One sample: a line of `bij --json board --samples`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct SampleLine(RecordedSample);

/// Samples as a table.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct BoardSamples(Vec<RecordedSample>);

impl BoardSamples {
    pub(crate) const fn new(samples: Vec<RecordedSample>) -> Self {
        Self(samples)
    }

    /// Returns each sample as a view of its own.
    pub(crate) fn lines(self) -> impl Iterator<Item = SampleLine> {
        self.0.into_iter().map(SampleLine)
    }
}

impl View for SampleLine {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        BoardSamples(vec![self.0.clone()]).text(out, format)
    }
}

impl View for BoardSamples {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            Column::left("AT"),
            Column::left("HOTTEST").flexible(),
            Column::right("CELSIUS"),
            Column::right("POWER").dispensable(1),
            Column::right("GPU").dispensable(3),
            Column::right("AVAILABLE").dispensable(4),
            Column::left("THROTTLED").dispensable(2),
        ]);
        for sample in &self.0 {
            let hottest = sample.zones.iter().max_by(|a, b| a.celsius.total_cmp(&b.celsius));
            let power = sample.total_milliwatts.map(Milliwatts::new);
            table.row([
                time::short(sample.at, format).into(),
                hottest.map_or_else(String::new, |zone| zone.name.clone()).into(),
                hottest.map_or_else(String::new, temperature).into(),
                power.map_or_else(String::new, |power| power.to_string()).into(),
                sample.gpu_load_percent.map_or_else(String::new, |load| format!("{load}%")).into(),
                sample.memory_available.map_or_else(String::new, |free| free.to_string()).into(),
                match sample.throttled {
                    None => "".into(),
                    Some(false) => "no".into(),
                    Some(true) => Cell::new(Tone::Bad, "yes"),
                },
            ]);
        }
        table.write(out, format)
    }
}

/// Formats a temperature as everywhere else.
#[expect(clippy::cast_possible_truncation, reason = "no sensor reports millions of degrees")]
fn temperature(zone: &ZoneSample) -> String {
    Celsius::from_millis((zone.celsius * 1000.0).round() as i32).to_string()
}
