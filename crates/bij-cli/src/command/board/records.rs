//! The records of the board: the minutes in the database, and the samples that the coordinator keeps in memory.

use std::io::{self, Write};

use bij_core::request::{RecordedSample, ZoneSample};
use bij_core::{BoardMinute, Bytes, Celsius, Milliwatts, Percent, Spread, Timestamp};
use serde::Serialize;

use crate::view::{Cell, Table, TableColumn, TextFormat, Tone, View, time};

/// Minutes, oldest first: `bij board --minutes`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct BoardMinutes(Vec<MinuteRow>);

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
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            TableColumn::left("FROM"),
            TableColumn::left("HOTTEST").flexible(),
            TableColumn::right("MEAN").dispensable(2),
            TableColumn::right("MAX"),
            TableColumn::right("POWER").dispensable(1),
            TableColumn::right("GPU").dispensable(3),
            TableColumn::right("AVAILABLE").dispensable(4),
            TableColumn::left("THROTTLED").dispensable(1),
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

/// Samples, oldest first: `bij board --samples`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct BoardSamples(pub(super) Vec<RecordedSample>);

/// One sample is a line of `bij --json board --samples`.
impl View for RecordedSample {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        BoardSamples(vec![self.clone()]).text(out, format)
    }
}

impl View for BoardSamples {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            TableColumn::left("AT"),
            TableColumn::left("HOTTEST").flexible(),
            TableColumn::right("CELSIUS"),
            TableColumn::right("POWER").dispensable(1),
            TableColumn::right("GPU").dispensable(3),
            TableColumn::right("AVAILABLE").dispensable(4),
            TableColumn::left("THROTTLED").dispensable(2),
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

#[cfg(test)]
mod tests {
    use bij_core::{Hottest, TimeSpan};
    use insta::{assert_json_snapshot, assert_snapshot};

    use super::*;

    fn minutes() -> BoardMinutes {
        let celsius = |millis| Celsius::from_millis(millis);
        let hot = BoardMinute {
            at: "2026-11-23T22:00:00Z".parse().unwrap(),
            span: TimeSpan::from_secs(59),
            samples: 60,
            hottest: Some(Hottest { zone: "tj".to_owned(), celsius: celsius(86_531) }),
            celsius: Some(Spread {
                min: celsius(60_000),
                mean: celsius(71_250),
                max: celsius(86_531),
            }),
            power: Some(Spread {
                min: Milliwatts::new(8_918),
                mean: Milliwatts::new(32_100),
                max: Milliwatts::new(45_678),
            }),
            gpu_load: Some(Percent::from_permyriad(9_876)),
            memory_available: Some(Bytes::new(12 << 30)),
            throttled: Some(7),
        };
        let cool = BoardMinute {
            at: "2026-11-23T22:01:00Z".parse().unwrap(),
            throttled: Some(0),
            ..hot.clone()
        };
        let bare = BoardMinute {
            at: "2026-11-23T22:02:00Z".parse().unwrap(),
            span: TimeSpan::default(),
            samples: 1,
            hottest: None,
            celsius: None,
            power: None,
            gpu_load: None,
            memory_available: None,
            throttled: None,
        };
        BoardMinutes::new(vec![hot, cool, bare])
    }

    fn text(width: Option<usize>) -> String {
        let mut out = Vec::new();
        minutes().text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_minute_has_its_temperature_and_power() {
        assert_snapshot!(text(None));
        assert_snapshot!(text(Some(60)));
        assert_json_snapshot!(minutes());
    }
}
