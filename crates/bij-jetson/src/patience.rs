//! Reads that may never come back, with a deadline.
//!
//! A read of sysfs knows no time-out: a driver that waits for a bus or an alert holds its reader for
//! as long as it likes, and no signal helps. So a whole sample is taken on a thread of its own, which
//! tells what it is reading; whoever waits for the sample looks at that. A read that takes longer than
//! the patience is given up together with its thread, and the sample is taken anew without that file.
//! Each file can cost one deadline and one sleeping thread, once: until its read comes back it is not
//! asked again. A thread that only waits for a processor, as on a machine at its limits, gets more time.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, gettid};

use crate::Files;

/// So many times its patience even a read that does not sleep may take: a driver may turn in circles
/// around a device that has gone.
const LONGEST: u32 = 20;

/// Files, and how long one of them may take.
#[derive(Clone)]
pub(crate) struct Patience {
    files: Arc<dyn Files>,
    limit: Duration,
    blocked: Arc<Mutex<BTreeSet<String>>>,
}

/// One try at a sample: what its thread reads, and whether anybody still waits for it.
struct Try {
    files: Arc<dyn Files>,
    blocked: Arc<Mutex<BTreeSet<String>>>,
    now: Mutex<Now>,
}

/// How waiting for a try ended.
enum Waited<T> {
    Done(T),
    GaveUp,
    Panicked,
}

#[derive(Default)]
struct Now {
    thread: Option<Pid>,
    reading: Option<(String, Instant)>,
    given_up: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Patience {
    pub(crate) fn new(files: Arc<dyn Files>, limit: Duration) -> Self {
        Self { files, limit, blocked: Arc::default() }
    }

    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The files themselves, for what never blocks.
    pub(crate) fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// Takes something from the files; whatever blocks is left out of it.
    pub(crate) fn take<T: Send + 'static>(
        &self,
        take: impl Fn(&dyn Files) -> T + Clone + Send + 'static,
    ) -> T {
        loop {
            let again = take.clone();
            let attempt = Arc::new(Try {
                files: Arc::clone(&self.files),
                blocked: Arc::clone(&self.blocked),
                now: Mutex::default(),
            });
            let (done, result) = mpsc::sync_channel(1);
            let reader = Arc::clone(&attempt);
            let thread = thread::Builder::new().name("board".to_owned()).spawn(move || {
                lock(&reader.now).thread = Some(gettid());
                // Nobody listens any more if it was given up.
                let _ = done.send(again(&*reader));
            });
            if thread.is_err() {
                // No thread to be had on an overloaded machine: better to risk waiting than to be blind.
                return take(&*attempt);
            }
            match self.wait(&attempt, &result) {
                Waited::Done(value) => return value,
                Waited::GaveUp => {}
                // Its panic is the caller's.
                Waited::Panicked => return take(&*attempt),
            }
        }
    }

    fn wait<T>(&self, attempt: &Try, result: &mpsc::Receiver<T>) -> Waited<T> {
        let mut left = self.limit;
        loop {
            match result.recv_timeout(left) {
                Ok(value) => return Waited::Done(value),
                Err(RecvTimeoutError::Disconnected) => return Waited::Panicked,
                Err(RecvTimeoutError::Timeout) => match attempt.judge(self.limit) {
                    Some(more) => left = more,
                    None => return Waited::GaveUp,
                },
            }
        }
    }
}

impl Try {
    /// How long its present read may still take; `None` gives it up.
    fn judge(&self, limit: Duration) -> Option<Duration> {
        let mut now = lock(&self.now);
        let Some((path, since)) = &now.reading else { return Some(limit) };
        let left = limit.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        if since.elapsed() < limit * LONGEST && now.thread.is_some_and(waits_for_a_processor) {
            return Some(limit);
        }
        lock(&self.blocked).insert(path.clone());
        now.given_up = true;
        None
    }

    fn watched<T>(&self, path: &str, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let blocked = || io::Error::from(io::ErrorKind::TimedOut);
        {
            let mut now = lock(&self.now);
            if now.given_up || lock(&self.blocked).contains(path) {
                return Err(blocked());
            }
            now.reading = Some((path.to_owned(), Instant::now()));
        }
        let result = read();
        let mut now = lock(&self.now);
        now.reading = None;
        if now.given_up {
            // It has come back after all: the next sample may ask it again.
            lock(&self.blocked).remove(path);
            return Err(blocked());
        }
        result
    }
}

/// Whether a thread could go on if only it were let (`proc_pid_stat(5)`).
fn waits_for_a_processor(thread: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // Its name stands in brackets before its state, and may have brackets of its own.
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R')))
}

impl Files for Try {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.watched(path, || self.files.read(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.watched(directory, || self.files.list(directory))
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        self.watched(path, || self.files.write(path, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_computes_waits_for_a_processor_and_who_sleeps_does_not() {
        assert!(waits_for_a_processor(gettid()));
        let (tell, told) = mpsc::channel();
        let (free, freed) = mpsc::channel::<()>();
        let sleeper = thread::spawn(move || {
            tell.send(gettid()).unwrap();
            freed.recv().unwrap_err();
        });
        let thread = told.recv().unwrap();
        // It falls asleep when it gets there.
        while waits_for_a_processor(thread) {
            thread::yield_now();
        }
        drop(free);
        sleeper.join().unwrap();
        // Its memory is given back, which is what `join` waits for, a moment before it leaves /proc.
        while waits_for_a_processor(thread) {
            thread::yield_now();
        }
    }

    #[test]
    fn who_only_computes_for_long_is_not_given_up() {
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
        let patience = Patience::new(Arc::new(Busy), Duration::from_millis(500));
        assert!(patience.take(|files| files.read("x").is_ok()));
    }
}
