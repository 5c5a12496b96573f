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
mod reading;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bij_coordinator::{Clock as _, Now};
use bij_core::port::{AttemptQuery, Ledger as _, LedgerError};
use bij_core::{AttemptKey, BootId, TimeSpan, Uptime, error_chain};
use bij_jetson::Hardware;
use bij_store::{Reader, Store};
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::coordinator::SystemClock;
use aggregator::{BoardAggregator, BoardRecord};

pub use reading::{BoardReading, SampleRing, TimedReading};

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
        let sample = self.machine.quick_sample();
        self.sampled = Some(now.uptime);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = BoardReading::new(sample, samples.newest().map(|timed| &timed.reading));
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

/// How long to wait for further events, because a hundred submissions are a hundred events.
const SETTLE_TIME: TimeSpan = TimeSpan::from_millis(20);

/// How long the program waits at its end for the last reading, which a sensor may block.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Records on its own thread until the sender of `newest`, the loop, is dropped.
pub(super) fn spawn(
    recorder: BoardRecorder,
    newest: watch::Receiver<u64>,
) -> io::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new()
        .name("record".to_owned())
        .spawn(move || runtime.block_on(record(recorder, newest)))
}

/// Waits for the end of the record. If a sensor blocks it for too long, the last minute is lost.
pub(super) fn join(thread: JoinHandle<()>) {
    let begun = Instant::now();
    while !thread.is_finished() {
        if begun.elapsed() > EXIT_TIMEOUT {
            log::warn!("a sensor does not answer; the last readings of the board are lost");
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    if thread.join().is_err() {
        log::error!("the thread that records the board has panicked");
    }
}

/// Records whenever a reading is due, and at every event. After the first event the loop has migrated the database.
async fn record(mut recorder: BoardRecorder, mut newest: watch::Receiver<u64>) {
    let clock = SystemClock;
    loop {
        let due = recorder.due_in(clock.now());
        let time = async {
            match due {
                Some(span) => clock.sleep(span).await,
                None => std::future::pending().await,
            }
        };
        // Cancel-safe: an event is not lost, and the time is computed again.
        tokio::select! {
            changed = newest.changed() => match changed {
                Ok(()) => clock.sleep(SETTLE_TIME).await,
                Err(_) => return recorder.finish(),
            },
            () = time => {}
        }
        recorder.record(clock.now());
    }
}

#[cfg(test)]
mod tests;
