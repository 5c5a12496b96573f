//! Runs `jetson_clocks`, which sets all clocks to the highest rate that the power mode allows, and restores them.
//!
//! By default the tool stores the previous clocks in `$HOME`, which a service may not have. Here it always gets a file,
//! which should be in a directory that does not outlive the boot, because the clocks do not either.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use bij_core::Outcome;
use thiserror::Error;

use crate::cpu::{self, Cpu};
use crate::files::{Root, remove_if_present};
use crate::{Emc, Files, GpuState, Reading, ToolError, WhyNot, tool};

const LIMIT: Duration = Duration::from_secs(20);

/// Why clocks could not be held or restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClocksError {
    /// `jetson_clocks` failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// `jetson_clocks` reported no error, but stored no clocks.
    #[error("jetson_clocks stored no clocks in {}", store.display())]
    NothingStored {
        /// The file for the previous clocks.
        store: PathBuf,
    },
    /// Some of the stored clocks could not be restored.
    #[error("jetson_clocks could not restore all clocks: {message}")]
    NotRestored {
        /// The tool's first error message.
        message: String,
    },
    /// The file for the previous clocks cannot be accessed.
    #[error("cannot access {}", store.display())]
    Store {
        /// The file for the previous clocks.
        store: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Runs NVIDIA's `jetson_clocks`.
#[derive(Clone, Debug)]
pub struct JetsonClocks {
    program: PathBuf,
    store: PathBuf,
    limit: Duration,
}

impl JetsonClocks {
    /// Creates the control from the tool below a root and the file for the previous clocks.
    pub fn below(root: impl AsRef<Path>, store: impl AsRef<Path>) -> Self {
        let program = Root::new(root).at("usr/bin/jetson_clocks");
        Self { program, store: store.as_ref().to_owned(), limit: LIMIT }
    }

    /// Sets the time limit of the tool.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Holds all clocks at their highest rate, after storing the previous clocks. Clocks that are held already are set
    /// again, because the process that held them may have been killed halfway.
    ///
    /// # Errors
    /// [`ClocksError`]; nothing is held if nothing could be stored.
    pub fn maximise(&self) -> Result<Outcome, ClocksError> {
        // If the clocks are held already, the stored ones must not be overwritten.
        let outcome = if self.are_held() { Outcome::Unchanged } else { Outcome::Changed };
        if outcome == Outcome::Changed {
            self.store_clocks()?;
        }
        if let Err(error) = self.run(&[]) {
            // Some clocks may be held already.
            self.restore()?;
            return Err(error);
        }
        Ok(outcome)
    }

    /// Stores the current clocks, through a temporary file, so that the store is always complete.
    fn store_clocks(&self) -> Result<(), ClocksError> {
        let fresh = self.store.with_extension("new");
        let failed = |source| ClocksError::Store { store: self.store.clone(), source };
        // If the file exists, the tool asks before it overwrites it, and would get no answer.
        remove_if_present(&fresh).map_err(failed)?;
        let stored = self.run(&["--store", &fresh.to_string_lossy()]);
        let kept = match stored {
            Ok(_) if fs::metadata(&fresh).is_ok_and(|file| file.len() > 0) => {
                fs::rename(&fresh, &self.store).map_err(failed)
            }
            Ok(_) => Err(ClocksError::NothingStored { store: self.store.clone() }),
            Err(error) => Err(error),
        };
        remove_if_present(&fresh).map_err(failed)?;
        kept
    }

    /// Restores the clocks, if they are held by [`maximise`](Self::maximise).
    ///
    /// # Errors
    /// [`ClocksError`]; the stored clocks are kept for another attempt.
    pub fn restore(&self) -> Result<Outcome, ClocksError> {
        if !self.are_held() {
            return Ok(Outcome::Unchanged);
        }
        let output = self.run(&["--restore", &self.store.to_string_lossy()])?;
        // The exit code is 0 even if the tool could not write a file.
        if let Some(line) = output.lines().find(|line| line.starts_with("Error")) {
            return Err(ClocksError::NotRestored { message: line.to_owned() });
        }
        let failed = |source| ClocksError::Store { store: self.store.clone(), source };
        remove_if_present(&self.store).map_err(failed)?;
        Ok(Outcome::Changed)
    }

    /// Returns `true` if the clocks are held by [`maximise`](Self::maximise), that is, if the store exists.
    pub fn are_held(&self) -> bool {
        self.store.exists()
    }

    /// Returns `true` if the tool is installed.
    pub fn is_installed(&self) -> bool {
        self.program.exists()
    }

    fn run(&self, args: &[&str]) -> Result<String, ClocksError> {
        let output = tool::run(&self.program, args, self.limit)?;
        output.check(&self.program)?;
        Ok(output.text)
    }
}

/// Returns `true` if the lowest allowed rate of every clock is the highest allowed rate.
///
/// This is also true if the power mode allows only one rate.
///
/// # Errors
/// [`WhyNot`] of the first clock that cannot be read.
pub(crate) fn clocks_held(files: &dyn Files) -> Reading<bool> {
    for id in Cpu::all(files)?.iter().filter(|cpu| cpu.online).map(|cpu| cpu.id) {
        if cpu::clock(files, id, "min")? != cpu::clock(files, id, "max")? {
            return Ok(false);
        }
    }
    let gpu = GpuState::read(files)?;
    if gpu.min_clock? != gpu.max_clock? {
        return Ok(false);
    }
    // Only root may read this clock; without it the others decide.
    match Emc::read(files).locked {
        Err(WhyNot::Forbidden) => Ok(true),
        locked => locked,
    }
}
