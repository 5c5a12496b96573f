//! This process as an attempt: its variables and its reports.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::environment::Variables;
use crate::notify::{Notifier, NotifyError, status_assignment};
use crate::{Cause, Checkpoints, EnvironmentError, Progress, ReportError};

/// This process: one attempt of one run of an experiment.
///
/// Usable from several threads.
///
/// A message to the supervisor waits while the supervisor's socket is full, as in `sd_notify(3)`: it is late
/// rather than lost.
#[derive(Debug)]
pub struct Attempt {
    experiment: Option<String>,
    run: Option<String>,
    number: u32,
    crashes: u32,
    last_cause: Option<Cause>,
    state_dir: Option<PathBuf>,
    resume_from: Option<PathBuf>,
    config: Option<PathBuf>,
    progress: Option<PathBuf>,
    stop_file: Option<PathBuf>,
    notifier: Option<Notifier>,
    watchdog: Option<Duration>,
    last_heartbeat: Mutex<Option<Instant>>,
    /// Held while the progress file is replaced: two threads would share the temporary file.
    reporting: Mutex<()>,
}

impl Attempt {
    /// Reads the variables that bij and systemd set for this process.
    ///
    /// # Errors
    /// If a variable has an invalid value, for example a word instead of a number.
    pub fn from_env() -> Result<Self, EnvironmentError> {
        Self::from_lookup(|name| env::var_os(name), process::id())
    }

    /// As [`Attempt::from_env`], from another source of variables and with another process id to compare
    /// `WATCHDOG_PID` with. An empty variable counts as unset.
    ///
    /// # Errors
    /// See [`Attempt::from_env`].
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Option<OsString>,
        own_pid: u32,
    ) -> Result<Self, EnvironmentError> {
        let variables = Variables(lookup);
        let attempt = Self {
            experiment: variables.text("BIJ_EXPERIMENT")?,
            run: variables.text("BIJ_RUN")?,
            number: variables.number("BIJ_ATTEMPT")?.unwrap_or(1),
            crashes: variables.number("BIJ_CRASHES")?.unwrap_or(0),
            last_cause: variables.text("BIJ_LAST_CAUSE")?.as_deref().map(Cause::from),
            state_dir: variables.path("BIJ_STATE_DIR"),
            resume_from: variables.path("BIJ_RESUME_FROM"),
            config: variables.path("BIJ_CONFIG"),
            progress: variables.path("BIJ_PROGRESS"),
            stop_file: variables.path("BIJ_STOP_FILE"),
            notifier: variables.notifier()?,
            watchdog: variables.watchdog(own_pid)?,
            last_heartbeat: Mutex::new(None),
            reporting: Mutex::new(()),
        };
        Ok(attempt)
    }

    /// Returns the experiment's id (`BIJ_EXPERIMENT`).
    pub fn experiment(&self) -> Option<&str> {
        self.experiment.as_deref()
    }

    /// Returns the run of this attempt (`BIJ_RUN`).
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Returns the number of this attempt in its run (`BIJ_ATTEMPT`), from 1.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the number of crashes of the experiment so far, in all its runs (`BIJ_CRASHES`).
    pub const fn crashes(&self) -> u32 {
        self.crashes
    }

    /// Returns why the previous attempt ended (`BIJ_LAST_CAUSE`).
    pub const fn last_cause(&self) -> Option<&Cause> {
        self.last_cause.as_ref()
    }

    /// Returns the experiment's own directory (`BIJ_STATE_DIR`), whose files survive crashes and reboots.
    /// Without bij it is the working directory.
    pub fn state_dir(&self) -> &Path {
        self.state_dir.as_deref().unwrap_or(Path::new("."))
    }

    /// Returns the checkpoint that was reported last (`BIJ_RESUME_FROM`).
    pub fn resume_from(&self) -> Option<&Path> {
        self.resume_from.as_deref()
    }

    /// Returns the definition's `config` file (`BIJ_CONFIG`).
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Returns the checkpoints `<name>-<number>.ckpt` in the state directory.
    pub fn checkpoints(&self, name: &str) -> Checkpoints {
        // Absolute, because their paths go into the progress file. If the working directory is gone the
        // path stays relative, and saving fails with a better message.
        let directory = std::path::absolute(self.state_dir());
        Checkpoints::new(directory.unwrap_or_else(|_| self.state_dir().to_owned()), name)
    }

    /// Whether this process should save and exit with [`Ending::ResumeMe`](crate::Ending::ResumeMe), because
    /// the file `BIJ_STOP_FILE` exists. Costs one stat(2).
    pub fn stop_requested(&self) -> bool {
        self.stop_file.as_deref().is_some_and(Path::exists)
    }

    /// Replaces the line in `BIJ_PROGRESS` atomically.
    ///
    /// A report with a checkpoint waits for the disk: report at checkpoints, and a few times per second at
    /// most.
    ///
    /// # Errors
    /// If the line cannot be written; the old one then stays.
    pub fn report(&self, progress: &Progress) -> Result<(), ReportError> {
        let Some(file) = &self.progress else { return Ok(()) };
        let _guard = self.reporting.lock().unwrap_or_else(PoisonError::into_inner);
        progress.write_to(file)
    }

    /// Sends a status line (`STATUS=`) that `systemctl status` and `bij status` show. Control characters
    /// become blanks, and a text longer than 1024 bytes is cut.
    ///
    /// # Errors
    /// If there is a supervisor and the message cannot be sent to it.
    pub fn status(&self, text: &str) -> Result<(), NotifyError> {
        self.notify(&status_assignment(text))
    }

    /// Reports that start-up is finished (`READY=1`). Definitions with `notify = true` need it; for others it
    /// does nothing.
    ///
    /// # Errors
    /// See [`Attempt::status`].
    pub fn ready(&self) -> Result<(), NotifyError> {
        self.notify("READY=1")
    }

    /// Reports that this process is about to exit (`STOPPING=1`).
    ///
    /// # Errors
    /// See [`Attempt::status`].
    pub fn stopping(&self) -> Result<(), NotifyError> {
        self.notify("STOPPING=1")
    }

    /// Returns the time without a heartbeat after which this process is killed; `None` without a watchdog.
    ///
    /// `WATCHDOG_USEC`, if `WATCHDOG_PID` is unset or this process (`sd_watchdog_enabled(3)`).
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Reports that this process is working (`WATCHDOG=1`).
    ///
    /// Call it in the loop that does the work, at least every half of [`Attempt::watchdog`] as
    /// `sd_watchdog_enabled(3)` recommends. More calls are cheap: it sends at most four heartbeats in that
    /// time. A separate thread would send heartbeats while the work hangs.
    ///
    /// # Errors
    /// See [`Attempt::status`].
    pub fn heartbeat(&self) -> Result<(), NotifyError> {
        let Some(timeout) = self.watchdog else { return Ok(()) };
        let mut last = self.last_heartbeat.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < timeout / 4) {
            return Ok(());
        }
        self.notify("WATCHDOG=1")?;
        *last = Some(Instant::now());
        Ok(())
    }

    fn notify(&self, message: &str) -> Result<(), NotifyError> {
        self.notifier.as_ref().map_or(Ok(()), |notifier| notifier.send(message))
    }
}

#[cfg(test)]
mod tests;
