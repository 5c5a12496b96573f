//! A recorded trace: how hot it was where, as time went by.
//!
//! Either lines of `seconds,zone,celsius`, or lines of JSON as `bij board --watch` prints them.

use bij_core::port::{Unread, ZoneReading};
use bij_core::{Celsius, TimeSpan, Timestamp};
use serde::Deserialize;

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trace {
    /// Each look with its time, from the first one on.
    pub(super) looks: Vec<(TimeSpan, Vec<ZoneReading>)>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) message: String,
}

/// One object of a trace in JSON; what else it says does not matter here.
#[derive(Deserialize)]
struct Board {
    at: Option<String>,
    seconds: Option<f64>,
    zones: Vec<Zone>,
}

#[derive(Deserialize)]
struct Zone {
    name: String,
    celsius: Option<f64>,
    #[serde(default)]
    why: Option<String>,
}

/// The first line of a trace in columns may say what they are.
const TITLES: &str = "seconds,zone,celsius";

impl Trace {
    /// Reads either kind; the first line tells which.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let lines: Vec<(usize, &str)> = lines.collect();
        let Some((first, start)) = lines.first() else {
            return Err(Wrong { line: 1, message: "there is nothing in it".to_owned() });
        };
        let mut trace = Self::default();
        let in_json = start.starts_with('{');
        for (line, text) in &lines {
            let wrong = |message: String| Wrong { line: *line, message };
            if in_json {
                trace.take_object(text).map_err(wrong)?;
            } else if line != first || *text != TITLES {
                trace.take_columns(text).map_err(wrong)?;
            }
        }
        trace.begin_at_zero();
        Ok(trace)
    }

    fn take_columns(&mut self, text: &str) -> Result<(), String> {
        let columns: Vec<&str> = text.split(',').map(str::trim).collect();
        let [seconds, zone, celsius] = columns[..] else {
            return Err(format!("{} columns instead of {TITLES}", columns.len()));
        };
        let at = seconds.parse().ok().and_then(span);
        let at = at.ok_or_else(|| format!("{seconds:?} is no number of seconds"))?;
        let celsius = match celsius {
            "" | "-" => None,
            number => {
                let number = number.parse().ok().filter(|number: &f64| number.is_finite());
                Some(number.ok_or_else(|| format!("{celsius:?} is no temperature"))?)
            }
        };
        let same = self.looks.last_mut().filter(|(last, _)| *last == at);
        let reading = reading(zone.to_owned(), celsius, None);
        if let Some((_, zones)) = same {
            zones.push(reading);
            return Ok(());
        }
        self.look(at, vec![reading])
    }

    fn take_object(&mut self, text: &str) -> Result<(), String> {
        let board: Board = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let at = match (board.seconds, board.at) {
            (Some(seconds), _) => {
                span(seconds).ok_or_else(|| format!("{seconds} is no number of seconds"))?
            }
            (None, Some(at)) => {
                let at: Timestamp = at.parse().map_err(|_| format!("{at:?} is no time"))?;
                TimeSpan::from_micros(at.as_micros().try_into().unwrap_or_default())
            }
            (None, None) => return Err("it has neither seconds nor at".to_owned()),
        };
        let zones = board.zones.into_iter();
        self.look(at, zones.map(|zone| reading(zone.name, zone.celsius, zone.why)).collect())
    }

    fn look(&mut self, at: TimeSpan, zones: Vec<ZoneReading>) -> Result<(), String> {
        if self.looks.last().is_some_and(|(last, _)| *last > at) {
            return Err("it is earlier than the line before".to_owned());
        }
        self.looks.push((at, zones));
        Ok(())
    }

    /// Clocks begin anywhere.
    fn begin_at_zero(&mut self) {
        let first = self.looks.first().map_or(0, |(at, _)| at.as_micros());
        for (at, _) in &mut self.looks {
            *at = TimeSpan::from_micros(at.as_micros() - first);
        }
    }
}

fn reading(name: String, celsius: Option<f64>, why: Option<String>) -> ZoneReading {
    let why = why.unwrap_or_else(|| "no value".to_owned());
    let unread = || Unread { what: name.clone(), why };
    let celsius = celsius.map(Celsius::from_degrees).ok_or_else(unread);
    ZoneReading { name, celsius }
}

/// A time that is one; no trace is longer than a year of seconds since the epoch.
fn span(seconds: f64) -> Option<TimeSpan> {
    let micros = seconds * 1e6;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at here")]
    (0.0..1e17).contains(&micros).then(|| TimeSpan::from_micros(micros as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let Wrong { line, message } = Trace::parse(text).unwrap_err();
        format!("{line}: {message}")
    }

    #[test]
    fn both_kinds_say_the_same() {
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
        assert_eq!(trace.looks[0].0, TimeSpan::default());
        assert_eq!(trace.looks[1].0, TimeSpan::from_micros(1_500_000));
        assert_eq!(trace.looks[0].1[0].celsius, Ok(Celsius::from_millis(50_500)));
        assert!(trace.looks[0].1[1].celsius.is_err());
    }

    #[test]
    fn the_board_as_it_was_watched_is_a_trace() {
        let watched = concat!(
            r#"{"at":"2026-11-25T10:00:00Z","zones":[{"name":"tj","celsius":40.0}]}"#,
            "\n",
            r#"{"at":"2026-11-25T10:00:01Z","zones":[{"name":"tj","celsius":41.0}]}"#,
        );
        let trace = Trace::parse(watched).unwrap();
        assert_eq!(trace.looks[1].0, TimeSpan::from_secs(1));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(wrong("\n# nothing\n"), "1: there is nothing in it");
        assert_eq!(wrong("1,cpu"), "1: 2 columns instead of seconds,zone,celsius");
        assert_eq!(wrong("1,cpu,50\nsoon,cpu,50"), "2: \"soon\" is no number of seconds");
        assert_eq!(wrong("1,cpu,50\n-1,cpu,50"), "2: \"-1\" is no number of seconds");
        assert_eq!(wrong("1,cpu,hot"), "1: \"hot\" is no temperature");
        assert_eq!(wrong("1,cpu,nan"), "1: \"nan\" is no temperature");
        assert_eq!(wrong("2,cpu,50\n\n1,cpu,50"), "3: it is earlier than the line before");
        assert_eq!(wrong(r#"{"zones":[]}"#), "1: it has neither seconds nor at");
        assert_eq!(wrong(r#"{"at":"soon","zones":[]}"#), "1: \"soon\" is no time");
        assert!(wrong("{").starts_with("1: EOF"), "{}", wrong("{"));
        assert!(wrong(r#"{"seconds":1}"#).contains("missing field `zones`"));
    }
}
