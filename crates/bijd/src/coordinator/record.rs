//! Records readings of the board.
//!
//! The board is read while an attempt is open: once a second, and whenever an attempt begins or ends. The readings of
//! the last hour stay in memory, a row per minute goes into the database, and so do the totals of each attempt that was
//! observed from its beginning to its end.
//!
//! The recorder has its own thread, so that a hanging sensor or a locked database delays nothing else. Rows that cannot
//! be written wait in memory, up to a limit.

mod aggregator;
mod attempt_totals;
mod energy;
mod minute;
mod reading;
mod sample_ring;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bij_coordinator::Now;
use bij_core::port::{AttemptQuery, Ledger as _, LedgerError};
use bij_core::{AttemptKey, BootId, TimeSpan, Uptime, error_chain};
use bij_jetson::Hardware;
use bij_store::{Reader, Store};

pub use reading::BoardReading;
pub use sample_ring::{SampleRing, TimedReading};
pub(super) use thread::{join, spawn};

use aggregator::{BoardAggregator, BoardRecord};

/// Interval of readings while an attempt is open.
const INTERVAL: TimeSpan = TimeSpan::from_secs(1);
/// Longest time between two readings; over a longer gap, nothing is assumed.
const MAX_GAP: TimeSpan = TimeSpan::from_secs(10);
/// Longest delay until an end becomes known; later, the totals would include other attempts.
const MAX_DELAY: TimeSpan = TimeSpan::from_secs(5);
/// How soon a failed write is tried again.
const RETRY_AFTER: TimeSpan = TimeSpan::from_secs(10);
/// Largest number of records that wait for the database; older ones are dropped.
const MAX_UNWRITTEN: usize = 256;
/// How long to wait for the lock of the database; the next reading is due in a second.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// Reads the board, and records it in memory and in the database.
pub struct BoardRecorder {
    machine: Hardware,
    database: PathBuf,
    reader: Reader,
    boot: BootId,
    aggregator: BoardAggregator,
    samples: Arc<Mutex<SampleRing>>,
    /// Uptime of the last reading.
    sampled: Option<Uptime>,
    unwritten: VecDeque<BoardRecord>,
    /// Whether the current error has been logged.
    in_trouble: bool,
}

impl BoardRecorder {
    /// Returns a recorder of `machine` in this boot, which writes into `database`.
    pub fn new(machine: Hardware, database: PathBuf, boot: BootId) -> Self {
        Self {
            machine,
            reader: Reader::new(database.clone()),
            database,
            boot,
            aggregator: BoardAggregator::default(),
            samples: Arc::default(),
            sampled: None,
            unwritten: VecDeque::new(),
            in_trouble: false,
        }
    }

    /// Returns the readings of the last hour, which continue to be updated.
    pub fn samples(&self) -> Arc<Mutex<SampleRing>> {
        Arc::clone(&self.samples)
    }

    /// Reads the board if an attempt is open and a reading is due, or if an attempt has begun or ended; writes the records.
    pub fn record(&mut self, now: Now) {
        let Some(open) = self.open_attempts() else { return };
        let is_due = self.sampled.is_none_or(|sampled| now.uptime - sampled >= INTERVAL);
        if self.aggregator.has_changed(&open) || !open.is_empty() && is_due {
            let records = self.sample(now, &open);
            self.unwritten.extend(records);
        } else if open.is_empty() {
            self.aggregator.set_idle();
        }
        self.unwritten.extend(self.aggregator.minute_over(now.uptime));
        self.write();
    }

    /// Returns the time until [`record`](Self::record) is due again; `None` if only a begin or end of an attempt makes it
    /// due.
    pub fn due_in(&self, now: Now) -> Option<TimeSpan> {
        let next =
            self.sampled.filter(|_| self.aggregator.is_busy()).map(|sampled| sampled + INTERVAL);
        let again = (!self.unwritten.is_empty()).then(|| now.uptime + RETRY_AFTER);
        let due = [next, self.aggregator.minute_ends(), again].into_iter().flatten().min()?;
        Some(due - now.uptime)
    }

    /// Writes the unfinished minute and all waiting records.
    pub fn finish(mut self) {
        self.unwritten.extend(std::mem::take(&mut self.aggregator).finish());
        self.write();
    }

    fn sample(&mut self, now: Now, open: &BTreeSet<AttemptKey>) -> Vec<BoardRecord> {
        let pulse = self.machine.fast_sample();
        self.sampled = Some(now.uptime);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = BoardReading::from_pulse(pulse, samples.newest().map(|timed| &timed.reading));
        let mut records = self.aggregator.add(now, open, &reading);
        samples.push(TimedReading { now, reading });
        drop(samples);
        records.retain(|record| match record {
            BoardRecord::Attempt(key, _) => self.is_timely(*key, now),
            BoardRecord::Minute(_) => true,
        });
        records
    }

    /// Returns whether the end of an attempt became known in time. An end that was spooled, because the database could
    /// not be written, is known too late.
    fn is_timely(&self, key: AttemptKey, now: Now) -> bool {
        let known = self.reader.attempt(key).ok().flatten();
        let end = known.and_then(|attempt| attempt.end);
        end.is_some_and(|end| now.at.since(end.at).is_none_or(|since| since <= MAX_DELAY))
    }

    /// Returns the open attempts of this boot; the last known ones if the database cannot be read.
    fn open_attempts(&mut self) -> Option<BTreeSet<AttemptKey>> {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        match self.reader.attempts(&query) {
            Ok(attempts) => {
                let keys = attempts.into_iter().map(|attempt| attempt.key);
                Some(keys.filter(|key| key.boot == self.boot).collect())
            }
            Err(error) => {
                self.log_trouble(&error);
                self.aggregator.open()
            }
        }
    }

    fn write(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let excess = self.unwritten.len().saturating_sub(MAX_UNWRITTEN);
        self.unwritten.drain(..excess);
        // The database is not kept open for a write per minute.
        let written = Store::open_existing(&self.database, LOCK_TIMEOUT)
            .and_then(|mut store| write_all(&mut store, &mut self.unwritten));
        match written {
            Ok(()) => self.in_trouble = false,
            Err(error) => self.log_trouble(&error),
        }
    }

    fn log_trouble(&mut self, error: &LedgerError) {
        if !self.in_trouble {
            log::warn!("cannot record readings of the board for now: {}", error_chain(error));
        }
        self.in_trouble = true;
    }
}

/// Writes records until one fails.
fn write_all(store: &mut Store, records: &mut VecDeque<BoardRecord>) -> Result<(), LedgerError> {
    while let Some(record) = records.front() {
        match record {
            BoardRecord::Minute(minute) => store.keep_board_minute(minute)?,
            BoardRecord::Attempt(key, board) => drop(store.keep_attempt_board(*key, board)?),
        }
        records.pop_front();
    }
    Ok(())
}
