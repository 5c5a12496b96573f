//! Samples of the board, and what is kept of them.
//!
//! Nothing is sampled while nothing runs. While an attempt is open the board is looked at once a
//! second, and whenever one begins or ends. The samples of the last hour stay in memory; a row a minute
//! goes into the database; and each attempt that was watched from its beginning to its end leaves what
//! the board went through meanwhile.
//!
//! It has a thread of its own: a sensor that hangs, or a database that is locked, holds up nothing but
//! the record. What cannot be written is written later, or forgotten: no record is worth a full disk.

mod account;
mod book;
mod energy;
mod glance;
mod hour;
mod minute;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bij_coordinator::Now;
use bij_core::port::{AttemptQuery, Ledger as _, LedgerError};
use bij_core::{AttemptKey, BootId, TimeSpan, error_chain};
use bij_jetson::Machine;
use bij_store::{Reader, Store};

pub use glance::Glance;
pub use hour::{Hour, Moment};
pub(super) use thread::{join, spawn};

use book::{Book, Entry};

/// How often the board is looked at while something runs.
const EVERY: TimeSpan = TimeSpan::from_secs(1);
/// Over a longer time than this without a look nobody knows what happened.
const LONGEST_GAP: TimeSpan = TimeSpan::from_secs(10);
/// An end that becomes known later than this came too late: others ran since.
const LATE: TimeSpan = TimeSpan::from_secs(5);
/// How soon what could not be written is tried again.
const AGAIN_AFTER: TimeSpan = TimeSpan::from_secs(10);
/// So many entries wait for a database that cannot be written; older ones are forgotten.
const WAITING_ROOM: usize = 256;
/// Others may write for so long; the next sample is due in a second.
const PATIENCE: Duration = Duration::from_millis(200);

/// Looks at the board and keeps what is worth it.
pub struct Recorder {
    machine: Machine,
    database: PathBuf,
    reader: Reader,
    boot: BootId,
    book: Book,
    hour: Arc<Mutex<Hour>>,
    /// When it was last looked at.
    looked: Option<TimeSpan>,
    unwritten: VecDeque<Entry>,
    /// Whether the trouble of now has been told.
    in_trouble: bool,
}

impl Recorder {
    /// Records this machine, in this boot, into the database at this path.
    pub fn new(machine: Machine, database: PathBuf, boot: BootId) -> Self {
        Self {
            machine,
            reader: Reader::new(database.clone()),
            database,
            boot,
            book: Book::default(),
            hour: Arc::default(),
            looked: None,
            unwritten: VecDeque::new(),
            in_trouble: false,
        }
    }

    /// The last hour, as it goes on.
    pub fn hour(&self) -> Arc<Mutex<Hour>> {
        Arc::clone(&self.hour)
    }

    /// Looks whether something runs, and at the board if so and it is time; keeps what has come of it.
    pub fn look(&mut self, now: Now) {
        let Some(open) = self.open_attempts() else { return };
        let is_due = self.looked.is_none_or(|looked| since(looked, now.uptime) >= EVERY);
        if self.book.is_news(&open) || !open.is_empty() && is_due {
            let entries = self.sample(now, &open);
            self.unwritten.extend(entries);
        } else if open.is_empty() {
            self.book.begins_idle();
        }
        self.unwritten.extend(self.book.minute_over(now.uptime));
        self.write();
    }

    /// How long nothing is to be done, if nobody begins or ends; `None` for ever.
    pub fn due_in(&self, now: Now) -> Option<TimeSpan> {
        let next = self.looked.filter(|_| self.book.is_busy()).map(|looked| plus(looked, EVERY));
        let again = (!self.unwritten.is_empty()).then(|| plus(now.uptime, AGAIN_AFTER));
        let due = [next, self.book.minute_ends(), again].into_iter().flatten().min()?;
        Some(since(now.uptime, due))
    }

    /// Keeps what there is: this is the end.
    pub fn leave(mut self) {
        self.unwritten.extend(std::mem::take(&mut self.book).closed());
        self.write();
    }

    fn sample(&mut self, now: Now, open: &BTreeSet<AttemptKey>) -> Vec<Entry> {
        let pulse = self.machine.fast_sample();
        self.looked = Some(now.uptime);
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let glance = Glance::of(pulse, hour.newest().map(|moment| &moment.glance));
        let mut entries = self.book.take(now, open, &glance);
        hour.push(Moment { now, glance });
        drop(hour);
        entries.retain(|entry| match entry {
            Entry::Attempt(key, _) => self.is_timely(*key, now),
            Entry::Minute(_) => true,
        });
        entries
    }

    /// Whether an attempt's end became known when it was: one that was set aside, because the database
    /// could not be written, was watched for too long.
    fn is_timely(&self, key: AttemptKey, now: Now) -> bool {
        let known = self.reader.attempt(key).ok().flatten();
        let end = known.and_then(|attempt| attempt.end);
        end.is_some_and(|end| now.at.since(end.at).is_none_or(|since| since <= LATE))
    }

    /// The attempts that are open in this boot; those of before, while the database cannot be read.
    fn open_attempts(&mut self) -> Option<BTreeSet<AttemptKey>> {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        match self.reader.attempts(&query) {
            Ok(attempts) => {
                let keys = attempts.into_iter().map(|attempt| attempt.key);
                Some(keys.filter(|key| key.boot == self.boot).collect())
            }
            Err(error) => {
                self.tell(&error);
                self.book.open()
            }
        }
    }

    fn write(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let excess = self.unwritten.len().saturating_sub(WAITING_ROOM);
        self.unwritten.drain(..excess);
        // Not kept open: something is to be written once a minute.
        let written = Store::open_existing(&self.database, PATIENCE)
            .and_then(|mut store| write_all(&mut store, &mut self.unwritten));
        match written {
            Ok(()) => self.in_trouble = false,
            Err(error) => self.tell(&error),
        }
    }

    fn tell(&mut self, error: &LedgerError) {
        if !self.in_trouble {
            log::warn!("what the board went through is not kept for now: {}", error_chain(error));
        }
        self.in_trouble = true;
    }
}

/// Writes entries as long as that goes well.
fn write_all(store: &mut Store, entries: &mut VecDeque<Entry>) -> Result<(), LedgerError> {
    while let Some(entry) = entries.front() {
        match entry {
            Entry::Minute(minute) => store.keep_board_minute(minute)?,
            Entry::Attempt(key, board) => drop(store.keep_attempt_board(*key, board)?),
        }
        entries.pop_front();
    }
    Ok(())
}

fn since(earlier: TimeSpan, later: TimeSpan) -> TimeSpan {
    TimeSpan::from_micros(later.as_micros().saturating_sub(earlier.as_micros()))
}

fn plus(uptime: TimeSpan, span: TimeSpan) -> TimeSpan {
    TimeSpan::from_micros(uptime.as_micros().saturating_add(span.as_micros()))
}
