//! Log lines as they come: the backlog, then what follows it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bij_core::{TimeSpan, Timestamp};
use nix::time::{ClockId, clock_gettime};

use super::process::{JournalError, Records, Running};
use super::{Journal, LogLine, LogQuery};

/// The log lines of experiments as they come; made by [`Journal::lines`].
#[derive(Debug)]
pub struct LogLines {
    journal: Journal,
    query: LogQuery,
    started: Timestamp,
    /// The same by the clock that counts from the boot (`CLOCK_MONOTONIC`), if the kernel tells.
    begun: Option<TimeSpan>,
    /// Lines before this, by the same clock, are not new.
    new_from: Option<TimeSpan>,
    phase: Phase,
    cursor: Option<String>,
    /// Of single lives journalctl cannot show the newest lines only; they are held back here.
    held: VecDeque<LogLine>,
    stopper: Stopper,
}

#[derive(Debug)]
enum Phase {
    Backlog(Records),
    Following(Records),
    Over,
}

/// Ends a [`LogLines`] from another thread: after what is under way there is no next line.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Mutex<Option<Running>>>);

impl Stopper {
    /// Ends it.
    pub fn stop(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.kill();
        }
    }

    /// Lets it stop this one from now on; false if it has been stopped already.
    fn guard(&self, running: &Running) -> bool {
        let mut guarded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guarded.as_mut().map(|current| *current = running.clone()).is_some()
    }

    fn has_stopped(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl LogLines {
    pub(super) fn new(
        journal: Journal,
        query: LogQuery,
        started: Timestamp,
    ) -> Result<Self, JournalError> {
        let backlog = journal.run(query.backlog_arguments(journal.scope))?;
        let stopper = Stopper(Arc::new(Mutex::new(Some(backlog.running().clone()))));
        let phase = Phase::Backlog(backlog);
        let held = VecDeque::new();
        let begun = clock_gettime(ClockId::CLOCK_MONOTONIC).ok().map(Duration::from);
        let begun = begun.and_then(|begun| u64::try_from(begun.as_micros()).ok());
        Ok(Self {
            journal,
            query,
            started,
            begun: begun.map(TimeSpan::from_micros),
            new_from: None,
            phase,
            cursor: None,
            held,
            stopper,
        })
    }

    /// A handle that ends it from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// The next line of the run that is under way.
    fn line(&mut self) -> Option<Result<LogLine, JournalError>> {
        let (Phase::Backlog(records) | Phase::Following(records)) = &mut self.phase else {
            return None;
        };
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            self.cursor = record.text("__CURSOR").or_else(|| self.cursor.take());
            if record.is_before(self.new_from) {
                continue;
            }
            let line = LogLine::from_record(&record, self.journal.trust)
                .filter(|line| self.query.wants(line));
            if let Some(line) = line {
                return Some(Ok(line));
            }
        }
        None
    }

    /// Reads the backlog to its end and holds its newest lines back, where that is our job.
    fn hold_back(&mut self) -> Result<(), JournalError> {
        let ours = !self.query.lives.is_empty() && matches!(self.phase, Phase::Backlog(_));
        let Some(newest) = self.query.shown().filter(|_| ours) else { return Ok(()) };
        while let Some(line) = self.line() {
            self.held.push_back(line?);
            if self.held.len() > newest {
                self.held.pop_front();
            }
        }
        Ok(())
    }

    /// What comes after the run that has ended.
    fn next_phase(&mut self) -> Result<(), JournalError> {
        let follows = matches!(self.phase, Phase::Backlog(_)) && self.query.follow;
        self.phase = Phase::Over;
        if !follows || self.stopper.has_stopped() {
            return Ok(());
        }
        let cursor = self.cursor.as_deref();
        // journalctl looks from a whole second on, and the time of day may be set while it does.
        self.new_from = self.begun.filter(|_| cursor.is_none());
        let arguments = self.query.follow_arguments(self.journal.trust, cursor, self.started);
        let records = self.journal.run(arguments)?;
        if self.stopper.guard(records.running()) {
            self.phase = Phase::Following(records);
        }
        Ok(())
    }
}

impl Iterator for LogLines {
    type Item = Result<LogLine, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.held.is_empty()
            && let Err(error) = self.hold_back()
        {
            return Some(Err(error));
        }
        loop {
            if let Some(line) = self.held.pop_front() {
                return Some(Ok(line));
            }
            match self.line() {
                None if matches!(self.phase, Phase::Over) => return None,
                None => {
                    if let Err(error) = self.next_phase() {
                        return Some(Err(error));
                    }
                }
                line => return line,
            }
        }
    }
}
