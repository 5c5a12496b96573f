//! One run of journalctl.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::record::{InvalidRecord, Record};

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
    /// The caller may not read it.
    #[error("no permission to read the journal")]
    Denied,
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

/// `show_journal_access_problems()` of systemd's journal-util.c.
const NO_PERMISSION: &str = "insufficient permissions";
const NO_SUCH_UNITS: &str = "Failed to add filter for units: No data available";

/// The records of one run of journalctl, which ends with this.
#[derive(Debug)]
pub(super) struct Records {
    child: Running,
    stdout: BufReader<ChildStdout>,
    over: bool,
}

/// A journalctl that runs, to be ended from wherever.
#[derive(Clone, Debug)]
pub(super) struct Running(Arc<Mutex<Child>>);

impl Running {
    /// Ends it; one that has ended by itself stays so.
    pub(super) fn kill(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

impl Records {
    /// Runs a command with these arguments.
    pub(super) fn of(mut command: Command, arguments: Vec<String>) -> Result<Self, JournalError> {
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(JournalError::Spawn)?;
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Ok(Self { child: Running(Arc::new(Mutex::new(child))), stdout, over: false })
    }

    pub(super) fn running(&self) -> &Running {
        &self.child
    }

    /// What journalctl had to say at its end.
    ///
    /// With `--grep` it exits 1 if nothing matched, and says nothing; with a pattern of units that
    /// no record matches it complains (`add_units()` of systemd's journalctl.c). Both is "nothing".
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
        // Whether it is still there or not, nothing of it stays behind.
        self.child.kill();
        let _ = self.child.0.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}
