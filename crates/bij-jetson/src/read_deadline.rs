//! Reads with a deadline, because a read of sysfs may never return.
//!
//! A driver that waits for a bus or an alert can block its reader for ever, and no signal helps. So a whole sample
//! is read on a separate thread that records the file it is reading, and the caller watches that record. When one
//! read exceeds the deadline, the thread is abandoned and the sample is read anew without that file. Each file thus
//! costs at most one deadline and one sleeping thread: it is not read again until its blocked read returns. A thread
//! that is only waiting for a CPU, as on an overloaded machine, gets more time.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, gettid};

use crate::Files;

/// Limit for a read that does not sleep, in deadlines: a driver may busy-loop around a device that has gone.
const MAX_DEADLINES: u32 = 20;

/// Reads files with a deadline for each read.
#[derive(Clone)]
pub(crate) struct DeadlineReader {
    files: Arc<dyn Files>,
    deadline: Duration,
    blocked: Arc<Mutex<BTreeSet<String>>>,
}

/// The files for one attempt at a sample; records the file that its thread is reading.
struct WatchedFiles {
    files: Arc<dyn Files>,
    blocked: Arc<Mutex<BTreeSet<String>>>,
    progress: Mutex<ReadProgress>,
}

/// How one attempt at a sample ended.
enum ReadOutcome<T> {
    Done(T),
    GaveUp,
    Panicked,
}

#[derive(Default)]
struct ReadProgress {
    thread: Option<Pid>,
    reading: Option<(String, Instant)>,
    given_up: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DeadlineReader {
    pub(crate) fn new(files: Arc<dyn Files>, deadline: Duration) -> Self {
        Self { files, deadline, blocked: Arc::default() }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// Returns the files without a deadline, for reads that never block.
    pub(crate) fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// Reads a value with `read_value`; a file that blocks fails with `TimedOut`.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        read_value: impl Fn(&dyn Files) -> T + Clone + Send + 'static,
    ) -> T {
        loop {
            let read_again = read_value.clone();
            let attempt = Arc::new(WatchedFiles {
                files: Arc::clone(&self.files),
                blocked: Arc::clone(&self.blocked),
                progress: Mutex::default(),
            });
            let (sender, result) = mpsc::sync_channel(1);
            let reader = Arc::clone(&attempt);
            let thread = thread::Builder::new().name("board".to_owned()).spawn(move || {
                lock(&reader.progress).thread = Some(gettid());
                // The receiver is gone if this attempt was abandoned.
                let _ = sender.send(read_again(&*reader));
            });
            if thread.is_err() {
                // No thread is available on an overloaded machine. Reading without a deadline is better than not at
                // all.
                return read_value(&*attempt);
            }
            match self.wait(&attempt, &result) {
                ReadOutcome::Done(value) => return value,
                ReadOutcome::GaveUp => {}
                // The panic is repeated on the caller's thread.
                ReadOutcome::Panicked => return read_value(&*attempt),
            }
        }
    }

    fn wait<T>(&self, attempt: &WatchedFiles, result: &mpsc::Receiver<T>) -> ReadOutcome<T> {
        let mut left = self.deadline;
        loop {
            match result.recv_timeout(left) {
                Ok(value) => return ReadOutcome::Done(value),
                Err(RecvTimeoutError::Disconnected) => return ReadOutcome::Panicked,
                Err(RecvTimeoutError::Timeout) => match attempt.remaining_time(self.deadline) {
                    Some(more) => left = more,
                    None => return ReadOutcome::GaveUp,
                },
            }
        }
    }
}

impl WatchedFiles {
    /// Returns how long the current read may still take; `None` abandons it and marks the file as blocked.
    fn remaining_time(&self, deadline: Duration) -> Option<Duration> {
        let mut progress = lock(&self.progress);
        let Some((path, since)) = &progress.reading else { return Some(deadline) };
        let left = deadline.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        if since.elapsed() < deadline * MAX_DEADLINES && progress.thread.is_some_and(is_runnable) {
            return Some(deadline);
        }
        lock(&self.blocked).insert(path.clone());
        progress.given_up = true;
        None
    }

    fn watch_read<T>(&self, path: &str, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let blocked = || io::Error::from(io::ErrorKind::TimedOut);
        {
            let mut progress = lock(&self.progress);
            if progress.given_up || lock(&self.blocked).contains(path) {
                return Err(blocked());
            }
            progress.reading = Some((path.to_owned(), Instant::now()));
        }
        let result = read();
        let mut progress = lock(&self.progress);
        progress.reading = None;
        if progress.given_up {
            // The read has returned after all, so the next sample may read the file again.
            lock(&self.blocked).remove(path);
            return Err(blocked());
        }
        result
    }
}

/// Returns `true` if a thread is runnable, that is, waits only for a CPU (`proc_pid_stat(5)`).
fn is_runnable(thread: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // The thread's name is in brackets before its state, and may contain brackets.
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R')))
}

impl Files for WatchedFiles {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.watch_read(path, || self.files.read(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.watch_read(directory, || self.files.list(directory))
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        self.watch_read(path, || self.files.write(path, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computing_thread_is_runnable_and_a_sleeping_one_is_not() {
        assert!(is_runnable(gettid()));
        let (sender, receiver) = mpsc::channel();
        let (free, freed) = mpsc::channel::<()>();
        let sleeper = thread::spawn(move || {
            sender.send(gettid()).unwrap();
            freed.recv().unwrap_err();
        });
        let thread = receiver.recv().unwrap();
        // The thread falls asleep when it reaches `recv`.
        while is_runnable(thread) {
            thread::yield_now();
        }
        drop(free);
        sleeper.join().unwrap();
        // `join` returns when the thread's memory is freed, a moment before it leaves /proc.
        while is_runnable(thread) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_read_that_only_computes_for_long_is_not_abandoned() {
        struct Busy;
        impl Files for Busy {
            fn read(&self, _: &str) -> io::Result<Vec<u8>> {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(1200) {}
                Ok(Vec::new())
            }
            fn list(&self, _: &str) -> io::Result<Vec<String>> {
                Ok(Vec::new())
            }
            fn write(&self, _: &str, _: &str) -> io::Result<()> {
                Ok(())
            }
        }
        let reader = DeadlineReader::new(Arc::new(Busy), Duration::from_millis(500));
        assert!(reader.read(|files| files.read("x").is_ok()));
    }
}
