//! Reads log lines from the files that supervisors write.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bij_core::{ExperimentId, Timestamp};
use bij_local::{LogError, LogLine, LogQuery, LogReader, LogStream};
use regex::RegexBuilder;

use super::{Hues, LogFilter};
use crate::error::{CliError, Kind};
use crate::view::LogRow;

/// How long one wait for a line lasts; a signal ends the process meanwhile.
const WAIT: Duration = Duration::from_secs(3600);

pub(super) fn read(
    reader: &LogReader,
    filter: &LogFilter,
    mut hues: Hues,
    mut sink: impl FnMut(LogRow) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let lines = reader.read(&query(filter)?)?;
    lines.into_iter().try_for_each(|line| sink(row(line, &mut hues)))
}

pub(super) fn follow(
    reader: &LogReader,
    filter: &LogFilter,
    mut hues: Hues,
    mut sink: impl FnMut(LogRow) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let query = query(filter)?;
    // The follower starts before the files are read, so that no line is missed in between.
    let mut follower = reader.follow(query.clone())?;
    let mut newest: BTreeMap<ExperimentId, Timestamp> = BTreeMap::new();
    for line in reader.read(&query)? {
        newest.insert(line.experiment.clone(), line.at);
        sink(row(line, &mut hues))?;
    }
    loop {
        for line in follower.next_lines(WAIT)? {
            let seen = newest.get(&line.experiment).is_some_and(|at| line.at <= *at);
            if !seen {
                sink(row(line, &mut hues))?;
            }
        }
        newest.clear();
    }
}

fn query(filter: &LogFilter) -> Result<LogQuery, CliError> {
    let grep = filter.grep.as_ref().map(|pattern| {
        // As in journalctl: without capitals in the pattern, case is ignored.
        let sensitive = pattern.chars().any(char::is_uppercase);
        RegexBuilder::new(pattern).case_insensitive(!sensitive).build()
    });
    let grep = grep.transpose().map_err(|error| {
        CliError::new(Kind::Usage, format!("--grep takes a regular expression: {error}"))
    })?;
    let attempts = filter.attempts.as_deref();
    Ok(LogQuery {
        experiments: filter.ids.clone(),
        newest: filter.newest,
        since: filter.since,
        until: filter.until,
        run: attempts.and_then(<[_]>::first).map(|attempt| attempt.run.number),
        attempt: match attempts {
            Some([one]) => Some(one.number),
            Some(_) | None => None,
        },
        grep,
    })
}

fn row(line: LogLine, hues: &mut Hues) -> LogRow {
    LogRow {
        at: line.at,
        hue: hues.hue(&line.experiment),
        id: line.experiment,
        writer: (line.stream == LogStream::Bij).then(|| "bij".to_owned()),
        message: line.text,
    }
}

impl From<LogError> for CliError {
    fn from(error: LogError) -> Self {
        let kind = match error.source.kind() {
            io::ErrorKind::PermissionDenied => Kind::Permission,
            _ => Kind::Internal,
        };
        Self::from_error(kind, &error)
    }
}
