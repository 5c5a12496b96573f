//! Recorded temperatures: lines of `seconds,zone,celsius`, or of JSON as `bij board --watch` prints them.

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, TimeSpan, Timestamp};
use serde::Deserialize;

/// The readings of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trace {
    /// The zones of each reading, with the time since the first one.
    pub(super) readings: Vec<(TimeSpan, Vec<ZoneReading>)>,
}

/// An error in a line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceError {
    pub(super) line: usize,
    pub(super) message: String,
}

/// The keys of an object of a JSON trace that matter here.
#[derive(Deserialize)]
struct TraceObject {
    at: Option<String>,
    seconds: Option<f64>,
    zones: Vec<TraceZone>,
}

#[derive(Deserialize)]
struct TraceZone {
    name: String,
    celsius: Option<f64>,
    #[serde(default)]
    why: Option<String>,
}

/// The titles of the columns, which may be the first line.
const TITLES: &str = "seconds,zone,celsius";

impl Trace {
    /// Parses a trace; its first line decides whether it is in columns or in JSON.
    pub(super) fn parse(text: &str) -> Result<Self, TraceError> {
        // Spreadsheets write a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let lines: Vec<(usize, &str)> = lines.collect();
        let Some((first, start)) = lines.first() else {
            return Err(TraceError { line: 1, message: "the trace is empty".to_owned() });
        };
        let mut trace = Self::default();
        let in_json = start.starts_with('{');
        for (line, text) in &lines {
            let error = |message: String| TraceError { line: *line, message };
            if in_json {
                trace.add_object(text).map_err(error)?;
            } else if line != first || *text != TITLES {
                trace.add_columns(text).map_err(error)?;
            }
        }
        trace.begin_at_zero();
        Ok(trace)
    }

    fn add_columns(&mut self, text: &str) -> Result<(), String> {
        let columns: Vec<&str> = text.split(',').map(str::trim).collect();
        let [seconds, zone, celsius] = columns[..] else {
            return Err(format!("{} columns instead of {TITLES}", columns.len()));
        };
        let at = seconds.parse().ok().and_then(span);
        let at = at.ok_or_else(|| format!("{seconds:?} is not a number of seconds"))?;
        let celsius = match celsius {
            "" | "-" => None,
            number => {
                let number = number.parse().ok().filter(|number: &f64| number.is_finite());
                Some(number.ok_or_else(|| format!("{celsius:?} is not a temperature"))?)
            }
        };
        let same = self.readings.last_mut().filter(|(last, _)| *last == at);
        let reading = zone_reading(zone.to_owned(), celsius, None);
        if let Some((_, zones)) = same {
            zones.push(reading);
            return Ok(());
        }
        self.add_reading(at, vec![reading])
    }

    fn add_object(&mut self, text: &str) -> Result<(), String> {
        let object: TraceObject = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let at = match (object.seconds, object.at) {
            (Some(seconds), _) => {
                span(seconds).ok_or_else(|| format!("{seconds} is not a number of seconds"))?
            }
            (None, Some(at)) => {
                let at: Timestamp = at.parse().map_err(|_| format!("{at:?} is not a time"))?;
                TimeSpan::from_micros(at.as_micros().try_into().unwrap_or_default())
            }
            (None, None) => return Err("the object has neither `seconds` nor `at`".to_owned()),
        };
        let zones = object.zones.into_iter();
        let zones = zones.map(|zone| zone_reading(zone.name, zone.celsius, zone.why));
        self.add_reading(at, zones.collect())
    }

    fn add_reading(&mut self, at: TimeSpan, zones: Vec<ZoneReading>) -> Result<(), String> {
        if self.readings.last().is_some_and(|(last, _)| *last > at) {
            return Err("the time is before that of the previous line".to_owned());
        }
        self.readings.push((at, zones));
        Ok(())
    }

    /// Makes the times relative to the first one.
    fn begin_at_zero(&mut self) {
        let first = self.readings.first().map_or(TimeSpan::default(), |(at, _)| *at);
        for (at, _) in &mut self.readings {
            *at = at.saturating_sub(first);
        }
    }
}

fn zone_reading(name: String, celsius: Option<f64>, why: Option<String>) -> ZoneReading {
    let why = why.unwrap_or_else(|| "no value".to_owned());
    let unread = || BoardReadError { what: name.clone(), why };
    let celsius = celsius.map(Celsius::from_degrees).ok_or_else(unread);
    ZoneReading { name, celsius }
}

/// Converts seconds, which may be counted since the epoch; `None` if they are negative or far too large.
fn span(seconds: f64) -> Option<TimeSpan> {
    let micros = seconds * 1e6;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked here"
    )]
    (0.0..1e17).contains(&micros).then(|| TimeSpan::from_micros(micros as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let TraceError { line, message } = Trace::parse(text).unwrap_err();
        format!("{line}: {message}")
    }

    #[test]
    fn a_table_as_a_spreadsheet_exports_it_is_read() {
        let trace =
            Trace::parse("\u{feff}seconds,zone,celsius\r\n0,cpu,45\r\n1.5,cpu,46\r\n").unwrap();
        assert_eq!(trace.readings.len(), 2);
    }

    #[test]
    fn columns_and_json_give_the_same_trace() {
        let columns =
            "# of a board\nseconds,zone,celsius\n100,cpu,50.5\n100,gpu,\n\n101.5, cpu ,51\n";
        let json = concat!(
            r#"{"seconds": 7, "zones": [{"name": "cpu", "celsius": 50.5}, "#,
            r#"{"name": "gpu", "celsius": null, "why": "no value"}], "more": 1}"#,
            "\n",
            r#"{"seconds": 8.5, "zones": [{"name": "cpu", "celsius": 51}]}"#,
        );
        let trace = Trace::parse(columns).unwrap();
        assert_eq!(trace, Trace::parse(json).unwrap());
        assert_eq!(trace.readings[0].0, TimeSpan::default());
        assert_eq!(trace.readings[1].0, TimeSpan::from_millis(1_500));
        assert_eq!(trace.readings[0].1[0].celsius, Ok(Celsius::from_millis(50_500)));
        assert!(trace.readings[0].1[1].celsius.is_err());
    }

    #[test]
    fn the_output_of_watching_a_board_is_a_trace() {
        let watched = concat!(
            r#"{"at":"2026-11-25T10:00:00Z","zones":[{"name":"tj","celsius":40.0}]}"#,
            "\n",
            r#"{"at":"2026-11-25T10:00:01Z","zones":[{"name":"tj","celsius":41.0}]}"#,
        );
        let trace = Trace::parse(watched).unwrap();
        assert_eq!(trace.readings[1].0, TimeSpan::from_secs(1));
    }

    #[test]
    fn an_error_names_its_line() {
        assert_eq!(wrong("\n# nothing\n"), "1: the trace is empty");
        assert_eq!(wrong("1,cpu"), "1: 2 columns instead of seconds,zone,celsius");
        assert_eq!(wrong("1,cpu,50\nsoon,cpu,50"), "2: \"soon\" is not a number of seconds");
        assert_eq!(wrong("1,cpu,50\n-1,cpu,50"), "2: \"-1\" is not a number of seconds");
        assert_eq!(wrong("1,cpu,hot"), "1: \"hot\" is not a temperature");
        assert_eq!(wrong("1,cpu,nan"), "1: \"nan\" is not a temperature");
        let backwards = wrong("2,cpu,50\n\n1,cpu,50");
        assert_eq!(backwards, "3: the time is before that of the previous line");
        let timeless = wrong(r#"{"zones":[]}"#);
        assert_eq!(timeless, "1: the object has neither `seconds` nor `at`");
        assert_eq!(wrong(r#"{"at":"soon","zones":[]}"#), "1: \"soon\" is not a time");
        assert!(wrong("{").starts_with("1: EOF"), "{}", wrong("{"));
        assert!(wrong(r#"{"seconds":1}"#).contains("missing field `zones`"));
    }
}
