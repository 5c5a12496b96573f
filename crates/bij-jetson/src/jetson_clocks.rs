//! `jetson_clocks`: all clocks at their highest, within what the power mode allows, and back again.
//!
//! The tool keeps what it will restore in a file of `$HOME`, which a service may not have. Here it is
//! always given one, which belongs into a directory that does not outlive the boot: clocks do not
//! either.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bij_core::Outcome;
use thiserror::Error;

use crate::cpu::{self, Cpu};
use crate::{Emc, Files, Gpu, Reading, Root, ToolError, WhyNot, tool};

const LIMIT: Duration = Duration::from_secs(20);

/// Why clocks are not as they were to be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClocksError {
    /// The tool did not do its work.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The tool reported no error, and stored nothing that could be restored.
    #[error("jetson_clocks stored nothing in {}", store.display())]
    NothingStored {
        /// The file.
        store: PathBuf,
    },
    /// Some of what was stored could not be restored.
    #[error("jetson_clocks could not restore all: {said}")]
    NotRestored {
        /// Its first complaint.
        said: String,
    },
    /// The file of what is stored cannot be handled.
    #[error("cannot handle {}", store.display())]
    Store {
        /// The file.
        store: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Orders NVIDIA's `jetson_clocks`.
#[derive(Clone, Debug)]
pub struct JetsonClocks {
    program: PathBuf,
    store: PathBuf,
    limit: Duration,
}

impl JetsonClocks {
    /// The tool below a root, and the file in which it keeps what is to be restored.
    pub fn below(root: &Root, store: impl Into<PathBuf>) -> Self {
        Self { program: root.at("usr/bin/jetson_clocks"), store: store.into(), limit: LIMIT }
    }

    /// The same, with another time to its end.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Holds all clocks at their highest; how they were is stored before. What is held already is held
    /// once more: whoever did that may have been killed in the middle of it.
    ///
    /// # Errors
    /// [`ClocksError`]; nothing is held if nothing could be stored.
    pub fn maximise(&self) -> Result<Outcome, ClocksError> {
        // What is stored is from before they were held. Now it would be what is held.
        let outcome = if self.are_held() { Outcome::Unchanged } else { Outcome::Changed };
        if outcome == Outcome::Changed {
            self.keep()?;
        }
        if let Err(error) = self.call(&[]) {
            // Some may be held by now.
            self.restore()?;
            return Err(error);
        }
        Ok(outcome)
    }

    /// Stores how the clocks are. Half a store is never taken for one.
    fn keep(&self) -> Result<(), ClocksError> {
        let fresh = self.store.with_extension("new");
        let failed = |source| ClocksError::Store { store: self.store.clone(), source };
        // The tool asks before it overwrites one, and nobody would answer.
        forget(&fresh).map_err(failed)?;
        let stored = self.call(&["--store", &fresh.to_string_lossy()]);
        let kept = match stored {
            Ok(_) if fs::metadata(&fresh).is_ok_and(|file| file.len() > 0) => {
                fs::rename(&fresh, &self.store).map_err(failed)
            }
            Ok(_) => Err(ClocksError::NothingStored { store: self.store.clone() }),
            Err(error) => Err(error),
        };
        forget(&fresh).map_err(failed)?;
        kept
    }

    /// Lets the clocks go again, if they are held by [`maximise`](Self::maximise).
    ///
    /// # Errors
    /// [`ClocksError`]; what is stored is kept then, to try again.
    pub fn restore(&self) -> Result<Outcome, ClocksError> {
        if !self.are_held() {
            return Ok(Outcome::Unchanged);
        }
        let said = self.call(&["--restore", &self.store.to_string_lossy()])?;
        // It ends with 0 whatever it could not write.
        if let Some(line) = said.lines().find(|line| line.starts_with("Error")) {
            return Err(ClocksError::NotRestored { said: line.to_owned() });
        }
        let failed = |source| ClocksError::Store { store: self.store.clone(), source };
        forget(&self.store).map_err(failed)?;
        Ok(Outcome::Changed)
    }

    /// Whether they are held by [`maximise`](Self::maximise), as far as the store tells.
    pub fn are_held(&self) -> bool {
        self.store.exists()
    }

    /// Whether the tool is there at all.
    pub fn is_installed(&self) -> bool {
        self.program.exists()
    }

    fn call(&self, args: &[&str]) -> Result<String, ClocksError> {
        let said = tool::run(&self.program, args, self.limit)?;
        said.end(&self.program)?;
        Ok(said.text)
    }
}

/// Removes a file; one that is not there is no error.
fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether all clocks are held where they are: the lowest allowed is the highest allowed.
///
/// Where a mode leaves a single clock anyway, this is true without anybody holding it.
///
/// # Errors
/// [`WhyNot`] of the first clock that does not tell.
pub fn clocks_held(files: &dyn Files) -> Reading<bool> {
    for id in Cpu::all(files)?.iter().filter(|cpu| cpu.online).map(|cpu| cpu.id) {
        if cpu::clock(files, id, "min")? != cpu::clock(files, id, "max")? {
            return Ok(false);
        }
    }
    let gpu = Gpu::read(files)?;
    if gpu.min_clock? != gpu.max_clock? {
        return Ok(false);
    }
    // Others than root may not look at it, and then the rest has to do.
    match Emc::read(files).locked {
        Err(WhyNot::Forbidden) => Ok(true),
        locked => locked,
    }
}
