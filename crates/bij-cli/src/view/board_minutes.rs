//! The recorded minutes of the board.

use std::io::{self, Write};

use bij_core::{BoardMinute, Bytes, Celsius, Milliwatts, Percent, Spread, Timestamp};
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Format, Tone, View, time};

/// Minutes, oldest first: `bij board --minutes`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct BoardMinutes(Vec<MinuteRow>);

#[derive(Clone, Debug, Serialize)]
struct MinuteRow {
    at: Timestamp,
    seconds: f64,
    samples: u32,
    max_zone: Option<String>,
    celsius: Option<JsonSpread<f64>>,
    milliwatts: Option<JsonSpread<i64>>,
    gpu_load_percent: Option<f64>,
    memory_available: Option<Bytes>,
    throttled_samples: Option<u32>,
    #[serde(skip)]
    whole: BoardMinute,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct JsonSpread<T> {
    min: T,
    mean: T,
    max: T,
}

impl<T> JsonSpread<T> {
    fn new<U>(spread: Spread<U>, value: impl Fn(U) -> T) -> Self {
        let Spread { min, mean, max } = spread;
        Self { min: value(min), mean: value(mean), max: value(max) }
    }
}

impl BoardMinutes {
    pub(crate) fn new(minutes: Vec<BoardMinute>) -> Self {
        Self(minutes.into_iter().map(MinuteRow::new).collect())
    }

    /// Returns whether there are no minutes.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl MinuteRow {
    fn new(minute: BoardMinute) -> Self {
        Self {
            at: minute.at,
            seconds: minute.span.as_duration().as_secs_f64(),
            samples: minute.samples,
            max_zone: minute.hottest.as_ref().map(|hottest| hottest.zone.clone()),
            celsius: minute.celsius.map(|spread| JsonSpread::new(spread, Celsius::degrees)),
            milliwatts: minute.power.map(|spread| JsonSpread::new(spread, Milliwatts::get)),
            gpu_load_percent: minute.gpu_load.map(Percent::percents),
            memory_available: minute.memory_available,
            throttled_samples: minute.throttled,
            whole: minute,
        }
    }
}

/// Formats a value; empty if there is none.
fn text_or_empty(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

impl View for BoardMinutes {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            Column::left("FROM"),
            Column::left("HOTTEST").flexible(),
            Column::right("MEAN").dispensable(2),
            Column::right("MAX"),
            Column::right("POWER").dispensable(1),
            Column::right("GPU").dispensable(3),
            Column::right("AVAILABLE").dispensable(4),
            Column::left("THROTTLED").dispensable(1),
        ]);
        for MinuteRow { whole: minute, .. } in &self.0 {
            let zone = minute.hottest.as_ref().map(|hottest| hottest.zone.clone());
            table.row([
                time::short(minute.at, format).into(),
                zone.unwrap_or_default().into(),
                text_or_empty(minute.celsius.map(|celsius| celsius.mean)).into(),
                text_or_empty(minute.celsius.map(|celsius| celsius.max)).into(),
                text_or_empty(minute.power.map(|power| power.mean)).into(),
                text_or_empty(minute.gpu_load).into(),
                text_or_empty(minute.memory_available).into(),
                match minute.throttled {
                    None => "".into(),
                    Some(0) => "no".into(),
                    Some(some) => Cell::new(Tone::Bad, format!("{some} of {}", minute.samples)),
                },
            ]);
        }
        table.write(out, format)
    }
}

#[cfg(test)]
mod tests;
