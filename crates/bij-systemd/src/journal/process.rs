//! Runs journalctl and reads its records.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::record::{InvalidJournalRecord, Record};

/// Why the journal could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// `journalctl` could not be started.
    #[error("cannot run journalctl")]
    Spawn(#[source] io::Error),
    /// The output of `journalctl` could not be read.
    #[error("cannot read from journalctl")]
    Read(#[source] io::Error),
    /// The caller may not read the journal.
    #[error("no permission to read the journal")]
    Denied,
    /// `journalctl` exited with an error.
    #[error("journalctl failed: {message}")]
    Failed {
        /// The text that it wrote to stderr.
        message: String,
    },
    /// `journalctl` wrote a line that is no record.
    #[error("journalctl wrote something unknown")]
    Record(#[source] InvalidJournalRecord),
}

/// Part of the message of `show_journal_access_problems()` in systemd's journal-util.c.
const NO_PERMISSION: &str = "insufficient permissions";
const NO_SUCH_UNITS: &str = "Failed to add filter for units: No data available";

/// The records of one journalctl process, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Records {
    child: JournalctlProcess,
    stdout: BufReader<ChildStdout>,
    over: bool,
}

/// A handle of a running journalctl, to kill it from another thread.
#[derive(Clone, Debug)]
pub(crate) struct JournalctlProcess(Arc<Mutex<Child>>);

impl JournalctlProcess {
    /// Kills the process, if it still runs.
    pub(crate) fn kill(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

/// A handle that stops an iterator over the journal from another thread; it ends after the record in progress.
#[derive(Clone, Debug)]
pub struct JournalStopper(Arc<Mutex<Option<JournalctlProcess>>>);

impl JournalStopper {
    /// Creates a handle that stops the iterator over the records of this process.
    pub(crate) fn new(process: &JournalctlProcess) -> Self {
        Self(Arc::new(Mutex::new(Some(process.clone()))))
    }

    /// Stops the iterator, also while it waits.
    pub fn stop(&self) {
        let process = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(process) = process {
            process.kill();
        }
    }

    /// Makes this handle stop `process` from now on; returns `false` if the iterator was stopped already.
    pub(crate) fn replace_process(&self, process: &JournalctlProcess) -> bool {
        let mut process_slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        process_slot.as_mut().map(|current| *current = process.clone()).is_some()
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Records {
    /// Runs `command` with these arguments.
    pub(crate) fn spawn(
        mut command: Command,
        arguments: Vec<String>,
    ) -> Result<Self, JournalError> {
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(JournalError::Spawn)?;
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Ok(Self { child: JournalctlProcess(Arc::new(Mutex::new(child))), stdout, over: false })
    }

    pub(crate) fn process(&self) -> &JournalctlProcess {
        &self.child
    }

    /// Reads the exit status and stderr of journalctl after its last record.
    ///
    /// With `--grep` it exits with 1 and no message if nothing matched. With a pattern of units that no record
    /// matches it prints an error (`add_units()` of systemd's journalctl.c). Both mean that there are no lines.
    fn finish(&mut self) -> Option<JournalError> {
        let mut child = self.child.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let nothing = message.is_empty() || message == NO_SUCH_UNITS;
        match (failed && !nothing, message.contains(NO_PERMISSION)) {
            (false, _) => None,
            (true, true) => Some(JournalError::Denied),
            (true, false) => Some(JournalError::Failed { message }),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let mut line = Vec::new();
        match self.stdout.read_until(b'\n', &mut line) {
            Ok(0) => {
                self.over = true;
                self.finish().map(Err)
            }
            Ok(_) => Some(Record::parse(&line).map_err(JournalError::Record)),
            Err(error) => {
                self.over = true;
                Some(Err(JournalError::Read(error)))
            }
        }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // Kills and reaps the process, whether or not it still runs.
        self.child.kill();
        let _ = self.child.0.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}
