//! Reads the log files of experiments while supervisors write them.

mod follower;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use bij_core::{AttemptNumber, ExperimentId, Layout, RunNumber, Timestamp};
use regex::Regex;
use thiserror::Error;

pub use follower::LogFollower;

use crate::log_file::{LogLine, log_path, rotated_log_path};

/// Selects lines of logs; `Default` selects all lines of every experiment.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Lines of these experiments; of all that have a log if empty.
    pub experiments: Vec<ExperimentId>,
    /// At most this number of matching lines, the newest.
    pub newest: Option<usize>,
    /// Lines at or after this time.
    pub since: Option<Timestamp>,
    /// Lines at or before this time.
    pub until: Option<Timestamp>,
    /// Lines of runs with this number.
    pub run: Option<RunNumber>,
    /// Lines of attempts with this number.
    pub attempt: Option<AttemptNumber>,
    /// Lines whose text matches this pattern.
    pub grep: Option<Regex>,
}

impl LogQuery {
    fn matches(&self, line: &LogLine) -> bool {
        self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at <= until)
            && self.run.is_none_or(|run| line.run == run)
            && self.attempt.is_none_or(|attempt| line.attempt == attempt)
            && self.grep.as_ref().is_none_or(|pattern| pattern.is_match(&line.text))
    }
}

/// A log file or directory that could not be read.
#[derive(Debug, Error)]
#[error("cannot read {}", path.display())]
pub struct LogError {
    /// The file or directory.
    pub path: PathBuf,
    /// The error of the system call.
    #[source]
    pub source: io::Error,
}

/// Reads the logs of one installation.
#[derive(Clone, Debug)]
pub struct LogReader {
    logs: PathBuf,
}

impl LogReader {
    /// Returns a reader of the logs that supervisors with this layout write.
    pub fn new(layout: &Layout) -> Self {
        Self { logs: layout.logs().to_owned() }
    }

    /// Returns the experiments that have a log, in alphabetical order.
    ///
    /// # Errors
    /// [`LogError`] if the directory cannot be read; a missing directory has no logs.
    pub fn experiments(&self) -> Result<Vec<ExperimentId>, LogError> {
        let failed = |source| LogError { path: self.logs.clone(), source };
        let entries = match fs::read_dir(&self.logs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".log"));
            ids.extend(id.and_then(|id| ExperimentId::new(id).ok()));
        }
        ids.sort();
        Ok(ids)
    }

    /// Returns the lines that a query selects, by time. Lines of one experiment keep the order in which
    /// they were written, even if the clock jumped.
    ///
    /// # Errors
    /// [`LogError`] if a file cannot be read; a missing file has no lines.
    pub fn read(&self, query: &LogQuery) -> Result<Vec<LogLine>, LogError> {
        let ids = self.ids(query)?;
        let mut all = Vec::new();
        for id in &ids {
            let mut lines = VecDeque::new();
            for path in [rotated_log_path(&self.logs, id), log_path(&self.logs, id)] {
                read_file(id, &path, &mut |line| {
                    if query.matches(&line) {
                        lines.push_back(line);
                        if query.newest.is_some_and(|newest| lines.len() > newest) {
                            lines.pop_front();
                        }
                    }
                })?;
            }
            all.push(lines);
        }
        let mut merged = merge(all);
        if let Some(newest) = query.newest {
            merged.drain(..merged.len().saturating_sub(newest));
        }
        Ok(merged)
    }

    /// Follows the lines that are written from now on and that a query selects; its `newest` is
    /// ignored.
    ///
    /// # Errors
    /// [`LogError`] if the directory cannot be watched.
    pub fn follow(&self, query: LogQuery) -> Result<LogFollower, LogError> {
        LogFollower::start(self.logs.clone(), query)
    }

    fn ids(&self, query: &LogQuery) -> Result<Vec<ExperimentId>, LogError> {
        if query.experiments.is_empty() {
            return self.experiments();
        }
        let mut ids = query.experiments.clone();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }
}

/// Reads whole lines and skips malformed ones, such as a torn line after a power cut.
fn read_file(
    id: &ExperimentId,
    path: &Path,
    take: &mut impl FnMut(LogLine),
) -> Result<(), LogError> {
    let failed = |source| LogError { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(failed)?,
    };
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        if let Some(line) = LogLine::parse(id, &text) {
            take(line);
        }
        bytes.clear();
    }
    Ok(())
}

/// Merges by time without changing the order within one experiment.
fn merge(mut logs: Vec<VecDeque<LogLine>>) -> Vec<LogLine> {
    let mut merged = Vec::with_capacity(logs.iter().map(VecDeque::len).sum());
    loop {
        let heads = logs.iter().enumerate().filter_map(|(i, log)| Some((log.front()?.at, i)));
        let Some((_, next)) = heads.min() else { return merged };
        merged.extend(logs[next].pop_front());
    }
}

#[cfg(test)]
mod tests;
