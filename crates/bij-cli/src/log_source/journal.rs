//! Reads log lines from the journal, and follows it.

use std::time::{Duration, SystemTime};

use bij_core::{Attempt, ExperimentId, Timestamp};
use bij_systemd::experiment::{AttemptSpan, JournalLine, JournalQuery, Writer};
use bij_systemd::{Journal, JournalError, JournalStopper};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Hues, LogFilter};
use crate::error::{CliError, Kind};
use crate::view::LogRow;

pub(super) fn read(
    journal: &Journal,
    filter: &LogFilter,
    follow: bool,
    mut hues: Hues,
    mut sink: impl FnMut(LogRow) -> Result<(), CliError>,
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

/// The most lines in the channel; further lines wait in the journal.
const CHANNEL_SIZE: usize = 1024;

/// After this time without a line, experiments that have ended will log no more: journald passes lines on within
/// milliseconds, on a loaded board within tenths of a second.
const SILENCE: Duration = Duration::from_millis(400);

/// The lines of some experiments from now on. Dropping it ends the reading thread.
pub(crate) struct JournalFollower {
    queue: mpsc::Receiver<Result<LogRow, CliError>>,
    stopper: JournalStopper,
}

impl JournalFollower {
    /// Follows the journal on a thread of its own, because reading it blocks.
    pub(crate) fn start(journal: &Journal, ids: &[ExperimentId]) -> Result<Self, CliError> {
        let query = JournalQuery {
            experiments: ids.to_vec(),
            newest: Some(0),
            follow: true,
            ..JournalQuery::default()
        };
        let lines = journal.lines(&query, SystemTime::now().into())?;
        let stopper = lines.stopper();
        let mut hues = Hues::new(&LogFilter { ids: ids.to_vec(), ..LogFilter::default() });
        let (sender, queue) = mpsc::channel(CHANNEL_SIZE);
        let relay = move || {
            for line in lines {
                let line = line.map_err(CliError::from).map(|line| row(line, &mut hues));
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(relay);
        thread.map_err(|error| CliError::from_error(Kind::Internal, &error))?;
        Ok(Self { queue, stopper })
    }

    /// Returns the next line; never returns once the journal has ended. Cancel-safe: it receives from a channel.
    pub(crate) async fn next(&mut self) -> Result<LogRow, CliError> {
        match self.queue.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }

    /// Returns the lines that were written but not yet received.
    pub(crate) async fn rest(&mut self) -> Result<Vec<LogRow>, CliError> {
        let mut rest = Vec::new();
        while let Ok(Some(line)) = timeout(SILENCE, self.queue.recv()).await {
            rest.push(line?);
        }
        Ok(rest)
    }
}

impl Drop for JournalFollower {
    fn drop(&mut self) {
        self.stopper.stop();
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
        let span = attempt_span(&ended, &LogFilter::default());
        assert!(!span.is_clock_steady);
        assert_eq!((span.boot, span.invocation), (ended.key.boot, ended.key.invocation));
    }

    #[test]
    fn a_time_is_given_to_the_microsecond() {
        assert_eq!(epoch_seconds(Timestamp::from_micros(5_000_042)), "@5.000042");
        assert_eq!(epoch_seconds(Timestamp::from_micros(-5)), "@0.000000");
    }
}
