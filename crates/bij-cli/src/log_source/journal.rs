//! Reads log lines from the journal.

use std::time::SystemTime;

use bij_core::{Attempt, Timestamp};
use bij_systemd::{AttemptSpan, Journal, JournalError, JournalLine, JournalQuery, Writer};

use super::{Hues, LogFilter, Sink};
use crate::error::{CliError, Kind};
use crate::view::LogRow;

pub(super) fn read(
    journal: &Journal,
    filter: &LogFilter,
    follow: bool,
    mut hues: Hues,
    mut sink: impl Sink,
) -> Result<(), CliError> {
    let query = query(filter, follow);
    for line in journal.lines(&query, SystemTime::now().into())? {
        sink(row(line?, &mut hues))?;
    }
    Ok(())
}

fn query(filter: &LogFilter, follow: bool) -> JournalQuery {
    let attempts = filter.attempts.iter().flatten();
    JournalQuery {
        experiments: filter.ids.clone(),
        attempts: attempts.map(|attempt| attempt_span(attempt, filter)).collect(),
        newest: filter.newest,
        since: filter.since.map(epoch_seconds),
        until: filter.until.map(epoch_seconds),
        grep: filter.grep.clone(),
        follow,
    }
}

fn attempt_span(attempt: &Attempt, filter: &LogFilter) -> AttemptSpan {
    let clock = filter.boot.get();
    AttemptSpan {
        boot: attempt.key.boot,
        invocation: attempt.key.invocation,
        started: attempt.started,
        ended: attempt.end.as_ref().map(|end| end.at),
        is_clock_steady: clock.is_some_and(|(boot, uptime)| {
            attempt.is_in_order(boot, SystemTime::now().into(), uptime)
        }),
    }
}

/// Formats a time for systemd.time(7): seconds since the epoch, with a fraction.
fn epoch_seconds(at: Timestamp) -> String {
    let micros = at.as_micros().max(0);
    format!("@{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

pub(super) fn row(line: JournalLine, hues: &mut Hues) -> LogRow {
    LogRow {
        at: line.at,
        hue: hues.hue(&line.experiment),
        id: line.experiment,
        writer: writer(line.writer),
        message: line.text,
    }
}

/// Returns the name of a line's writer. A name that a process of the experiment has chosen is marked, so that it
/// cannot be mistaken for another writer's.
fn writer(writer: Writer) -> Option<String> {
    match writer {
        Writer::Experiment => None,
        Writer::Manager => Some("systemd".to_owned()),
        Writer::Hook => Some("bij-hook".to_owned()),
        Writer::OnBehalf(name) => Some(name),
        Writer::Process(name) => Some(format!("process {name}")),
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Denied => Self::from_error(Kind::Permission, &error)
                .hint("repeat the command with sudo, or join the group systemd-journal"),
            _ => Self::from_error(Kind::Unreachable, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use bij_core::{
        AttemptEnd, AttemptKey, AttemptNumber, BootId, Evidence, InvocationId, TimeSpan,
    };

    use super::*;

    #[test]
    fn a_name_that_a_process_takes_is_marked() {
        assert_eq!(writer(Writer::Experiment), None);
        assert_eq!(writer(Writer::Manager).as_deref(), Some("systemd"));
        let claimed = Writer::Process("systemd".to_owned());
        assert_eq!(writer(claimed).as_deref(), Some("process systemd"));
    }

    #[test]
    fn an_attempt_whose_clock_was_set_is_not_searched_by_its_times() {
        let mut evidence = Evidence::default();
        evidence.ran_for = Some(TimeSpan::from_secs(62));
        let at = "2026-11-23T22:01:02Z".parse().unwrap();
        let mut ended = Attempt {
            run: "x#1".parse().unwrap(),
            number: AttemptNumber(1),
            key: AttemptKey {
                boot: BootId::from_bytes([1; 16]),
                invocation: InvocationId::from_bytes([2; 16]),
            },
            started: "2026-11-23T22:00:00Z".parse().unwrap(),
            started_uptime: None,
            ready: None,
            end: Some(AttemptEnd { at, cause: evidence.prove(), evidence }),
            board: None,
        };
        assert!(attempt_span(&ended, &LogFilter::default()).is_clock_steady, "62 s by both clocks");
        ended.started = "2026-11-23T23:00:00Z".parse().unwrap();
        let life = attempt_span(&ended, &LogFilter::default());
        assert!(!life.is_clock_steady);
        assert_eq!((life.boot, life.invocation), (ended.key.boot, ended.key.invocation));
    }

    #[test]
    fn a_time_is_given_to_the_microsecond() {
        assert_eq!(epoch_seconds(Timestamp::from_micros(5_000_042)), "@5.000042");
        assert_eq!(epoch_seconds(Timestamp::from_micros(-5)), "@0.000000");
    }
}
