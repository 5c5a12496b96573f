//! What the journal says, by way of `journalctl`: it reads the files of its own version, has the
//! right permissions, and is always there.
//!
//! Arguments and records are pure; [`Journal`] runs the program.

mod end;
mod kernel;
mod line;
mod message_id;
mod query;
mod record;

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use bij_core::{ExperimentId, InvocationId, TimeSpan, Timestamp};
use thiserror::Error;

use crate::RuntimeScope;

pub use end::JournalEnd;
pub use line::LogLine;
pub use query::LogQuery;
pub use record::InvalidRecord;

use record::Record;

/// The journal as seen from one service manager's side.
#[derive(Clone, Debug)]
pub struct Journal {
    scope: RuntimeScope,
    program: String,
}

/// Why the journal could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// `journalctl` could not be run.
    #[error("cannot run journalctl")]
    Spawn(#[source] io::Error),
    /// Its output could not be read.
    #[error("cannot read from journalctl")]
    Read(#[source] io::Error),
    /// It failed.
    #[error("journalctl failed: {message}")]
    Failed {
        /// What it wrote to stderr.
        message: String,
    },
    /// It wrote something that is no record.
    #[error("journalctl wrote something unknown")]
    Record(#[source] InvalidRecord),
}

impl Journal {
    /// The journal of the system, or of the calling user's own manager.
    pub fn new(scope: RuntimeScope) -> Self {
        Self { scope, program: "journalctl".to_owned() }
    }

    /// What the manager and the kernel wrote about the end of one life of a unit; `None` if the
    /// journal knows of no end. This is what makes good a killed `end` hook.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn end_of(&self, invocation: InvocationId) -> Result<Option<JournalEnd>, JournalError> {
        let arguments = end::arguments(self.scope, invocation);
        let records = self.run(arguments)?.collect::<Result<Vec<_>, _>>()?;
        Ok(end::read(&records))
    }

    /// The kernel's line about a kill for memory in an experiment's control group, the newest since
    /// `since` (by the clock that counts from boot), where it can be read.
    ///
    /// `/dev/kmsg` is asked first: it answers at once, and is there when journald is not.
    pub fn kernel_kill_line(&self, id: &ExperimentId, since: Option<TimeSpan>) -> Option<String> {
        let from_kernel = kernel::buffer().and_then(|text| kernel::kill_line(&text, id, since));
        from_kernel.or_else(|| {
            let records = self.run(kernel::arguments()).ok()?.flatten();
            let told = records.filter(|record| since.is_none_or(|s| record.monotonic() >= Some(s)));
            told.filter_map(|record| record.text("MESSAGE"))
                .filter(|message| kernel::names(message, id))
                .last()
        })
    }

    /// The log lines of experiments, oldest first; with [`LogQuery::follow`] it goes on until it
    /// is stopped.
    ///
    /// # Errors
    /// [`JournalError::Spawn`] if there is no journalctl; later errors come as items.
    pub fn lines(&self, query: &LogQuery, now: Timestamp) -> Result<LogLines, JournalError> {
        let backlog = self.run(query.backlog_arguments(self.scope))?;
        let current = Arc::clone(&backlog.child);
        Ok(LogLines {
            journal: self.clone(),
            query: query.clone(),
            started: now,
            cursor: None,
            records: Some(backlog),
            followed: false,
            current: Stopper { child: Arc::new(Mutex::new(Some(current))) },
        })
    }

    fn run(&self, arguments: Vec<String>) -> Result<Records, JournalError> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(JournalError::Spawn)?;
        let stdout = child.stdout.take().expect("stdout is piped");
        Ok(Records {
            child: Arc::new(Mutex::new(child)),
            stdout: BufReader::new(stdout),
            over: false,
        })
    }
}

/// The log lines of experiments as they come; made by [`Journal::lines`].
#[derive(Debug)]
pub struct LogLines {
    journal: Journal,
    query: LogQuery,
    started: Timestamp,
    cursor: Option<String>,
    records: Option<Records>,
    followed: bool,
    current: Stopper,
}

/// Ends a [`LogLines`] from another thread: the next line is the last.
#[derive(Clone, Debug)]
pub struct Stopper {
    child: Arc<Mutex<Option<Arc<Mutex<Child>>>>>,
}

impl Stopper {
    /// Ends it.
    pub fn stop(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(child) = child {
            // It may have ended by itself meanwhile.
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
    }

    /// Lets it stop this one from now on; false if it has been stopped already.
    fn guard(&self, child: &Arc<Mutex<Child>>) -> bool {
        let mut guarded = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        guarded.as_mut().map(|current| *current = Arc::clone(child)).is_some()
    }
}

impl LogLines {
    /// A handle that ends it from another thread.
    pub fn stopper(&self) -> Stopper {
        self.current.clone()
    }

    /// After the backlog: follows from its last record on.
    fn follow(&mut self) -> Option<Result<Records, JournalError>> {
        if !self.query.follow || self.followed {
            return None;
        }
        self.followed = true;
        let cursor = self.cursor.as_deref();
        let arguments = self.query.follow_arguments(self.journal.scope, cursor, self.started);
        let records = self.journal.run(arguments);
        if let Ok(records) = &records
            && !self.current.guard(&records.child)
        {
            return None;
        }
        Some(records)
    }
}

impl Iterator for LogLines {
    type Item = Result<LogLine, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let records = self.records.as_mut()?;
            match records.next() {
                Some(Ok(record)) => {
                    self.cursor = record.text("__CURSOR").or_else(|| self.cursor.take());
                    let line = LogLine::from_record(&record);
                    if let Some(line) = line.filter(|line| self.query.wants(line)) {
                        return Some(Ok(line));
                    }
                }
                Some(Err(error)) => return Some(Err(error)),
                None => match self.follow() {
                    Some(Ok(records)) => self.records = Some(records),
                    Some(Err(error)) => {
                        self.records = None;
                        return Some(Err(error));
                    }
                    None => self.records = None,
                },
            }
        }
    }
}

/// The records of one run of journalctl, which ends with this.
#[derive(Debug)]
struct Records {
    child: Arc<Mutex<Child>>,
    stdout: BufReader<ChildStdout>,
    over: bool,
}

impl Iterator for Records {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let mut line = Vec::new();
        match self.stdout.read_until(b'\n', &mut line) {
            Err(error) => Some(Err(JournalError::Read(error))),
            Ok(0) => {
                self.over = true;
                self.finish().map(Err)
            }
            Ok(_) => Some(Record::parse(&line).map_err(JournalError::Record)),
        }
    }
}

impl Records {
    /// What journalctl had to say at its end.
    ///
    /// With `--grep` it exits 1 if nothing matched, and says nothing.
    fn finish(&mut self) -> Option<JournalError> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let mut message = String::new();
        if let Some(stderr) = child.stderr.as_mut()
            && let Err(error) = stderr.read_to_string(&mut message)
        {
            return Some(JournalError::Read(error));
        }
        let failed = match child.wait() {
            Ok(status) => status.code().is_some_and(|code| code != 0),
            Err(error) => return Some(JournalError::Read(error)),
        };
        let message = message.trim().to_owned();
        (failed && !message.is_empty()).then_some(JournalError::Failed { message })
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether it is still there or not, nothing of it stays behind.
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests;
