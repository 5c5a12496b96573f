//! What this process is told, and the ways in which it answers.

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
/// Usable from several threads: each call is whole by itself.
///
/// What is said to the supervisor waits, as `sd_notify(3)` does, while the supervisor's socket is
/// full: a message is late rather than lost.
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
    /// Held while the progress file is replaced: two threads would share the file beside it.
    reporting: Mutex<()>,
}

impl Attempt {
    /// Reads what bij and systemd told this process.
    ///
    /// # Errors
    /// When a variable holds what it never should, for example a word for a number.
    pub fn from_env() -> Result<Self, EnvironmentError> {
        Self::from_lookup(|name| env::var_os(name), process::id())
    }

    /// The same for any other source of variables, and any process id to compare `WATCHDOG_PID`
    /// with. An empty variable counts as unset.
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

    /// The experiment's id (`BIJ_EXPERIMENT`).
    pub fn experiment(&self) -> Option<&str> {
        self.experiment.as_deref()
    }

    /// The run this attempt belongs to (`BIJ_RUN`).
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Which attempt of its run this is (`BIJ_ATTEMPT`), from 1.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// How often the experiment has crashed in all its life (`BIJ_CRASHES`).
    pub const fn crashes(&self) -> u32 {
        self.crashes
    }

    /// Why the attempt before this one ended (`BIJ_LAST_CAUSE`).
    pub const fn last_cause(&self) -> Option<&Cause> {
        self.last_cause.as_ref()
    }

    /// The experiment's own directory (`BIJ_STATE_DIR`): what lies there survives crashes and
    /// reboots. Without bij it is the working directory.
    pub fn state_dir(&self) -> &Path {
        self.state_dir.as_deref().unwrap_or(Path::new("."))
    }

    /// The checkpoint that the attempt before this one reported last (`BIJ_RESUME_FROM`).
    pub fn resume_from(&self) -> Option<&Path> {
        self.resume_from.as_deref()
    }

    /// The definition's `config` file (`BIJ_CONFIG`).
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The checkpoints `<name>-<number>.ckpt` in the state directory.
    pub fn checkpoints(&self, name: &str) -> Checkpoints {
        // Absolute, because their paths go into the progress file. A working directory that is
        // gone leaves the path as it is, and saving then fails with a better message.
        let directory = std::path::absolute(self.state_dir());
        Checkpoints::new(directory.unwrap_or_else(|_| self.state_dir().to_owned()), name)
    }

    /// Whether it is time to save and leave with [`Ending::ResumeMe`](crate::Ending::ResumeMe):
    /// the file `BIJ_STOP_FILE` has appeared. Costs one stat(2).
    pub fn stop_requested(&self) -> bool {
        self.stop_file.as_deref().is_some_and(Path::exists)
    }

    /// Replaces the line in `BIJ_PROGRESS` in one step.
    ///
    /// With a checkpoint this waits for the disk, so report at checkpoints and a few times a
    /// second at most.
    ///
    /// # Errors
    /// When the line cannot be written; the old one is then still there.
    pub fn report(&self, progress: &Progress) -> Result<(), ReportError> {
        let Some(file) = &self.progress else { return Ok(()) };
        let _alone = self.reporting.lock().unwrap_or_else(PoisonError::into_inner);
        progress.write_to(file)
    }

    /// Says in one line how things stand (`STATUS=`); `systemctl status` and `bij status` show it.
    /// Control characters become blanks, and what is longer than 1024 bytes is cut.
    ///
    /// # Errors
    /// When there is somebody to tell and the message cannot be sent.
    pub fn status(&self, text: &str) -> Result<(), NotifyError> {
        self.notify(&status_assignment(text))
    }

    /// Says that start-up is finished (`READY=1`). A definition with `notify = true` needs this,
    /// for others it does nothing.
    ///
    /// # Errors
    /// See [`Attempt::status`].
    pub fn ready(&self) -> Result<(), NotifyError> {
        self.notify("READY=1")
    }

    /// Says that this process is about to leave (`STOPPING=1`).
    ///
    /// # Errors
    /// See [`Attempt::status`].
    pub fn stopping(&self) -> Result<(), NotifyError> {
        self.notify("STOPPING=1")
    }

    /// How long this process may be silent before it is killed; `None`: as long as it likes.
    ///
    /// `WATCHDOG_USEC`, when `WATCHDOG_PID` is unset or this process (`sd_watchdog_enabled(3)`).
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says that this process is alive and working (`WATCHDOG=1`).
    ///
    /// Call it from the loop that does the work, at least every half of [`Attempt::watchdog`] as
    /// `sd_watchdog_enabled(3)` recommends, and as often as you like: it sends at most four
    /// heartbeats in that time. A thread of its own would go on while the work hangs.
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
