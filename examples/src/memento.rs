//! An experiment's state as JSON inside checkpoints.

use std::path::PathBuf;

use bij_experiment::{Attempt, Checkpoints, ListError, Progress, ReportError, SaveError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::say;

/// Keeps one experiment's state in checkpoints and reports them as its progress.
#[derive(Debug)]
pub struct Memento<'a> {
    attempt: &'a Attempt,
    checkpoints: Checkpoints,
    newest: Option<PathBuf>,
}

/// What [`Memento::recall`] brings back.
#[derive(Debug)]
pub struct Recalled<S> {
    /// The state saved last.
    pub state: S,
    /// Where it was found.
    pub path: PathBuf,
}

impl<'a> Memento<'a> {
    /// Checkpoints called `name` in the attempt's state directory.
    pub fn new(attempt: &'a Attempt, name: &str) -> Self {
        Self { attempt, checkpoints: attempt.checkpoints(name), newest: None }
    }

    /// The state to go on from, if there is one; says so when a checkpoint had to be passed over.
    ///
    /// # Errors
    /// When the state directory cannot be read, or a whole checkpoint holds another program's
    /// state: going on from nothing would overwrite it.
    pub fn recall<S: DeserializeOwned>(&mut self) -> Result<Option<Recalled<S>>, RememberError> {
        let found = self.checkpoints.resume(self.attempt.resume_from())?;
        for refused in &found.refused {
            say(format_args!("{refused}; looking for an older one"));
        }
        let Some(checkpoint) = found.checkpoint else { return Ok(None) };
        let path = checkpoint.path;
        let state = serde_json::from_slice(&checkpoint.payload)
            .map_err(|source| RememberError::Foreign { path: path.clone(), source })?;
        self.newest = Some(path.clone());
        Ok(Some(Recalled { state, path }))
    }

    /// Saves the state and reports it as step `step` of `total`.
    ///
    /// # Errors
    /// When the checkpoint or the progress cannot be written.
    pub fn keep<S: Serialize>(
        &mut self,
        state: &S,
        step: u64,
        total: u64,
    ) -> Result<(), RememberError> {
        let payload = serde_json::to_vec(state).map_err(RememberError::Unwritable)?;
        let path = self.checkpoints.save(&payload)?;
        self.newest = Some(path);
        self.report(step, total)
    }

    /// Reports progress between checkpoints.
    ///
    /// # Errors
    /// When the progress cannot be written.
    pub fn report(&self, step: u64, total: u64) -> Result<(), RememberError> {
        let mut progress = Progress::at(step).total(total);
        if let Some(path) = &self.newest {
            progress = progress.checkpoint(path);
        }
        Ok(self.attempt.report(&progress)?)
    }
}

/// Why the state could not be kept or recalled.
#[derive(Debug, Error)]
pub enum RememberError {
    /// The checkpoints could not be looked through.
    #[error("could not recall the state")]
    List(#[from] ListError),
    /// A whole checkpoint that is not ours.
    #[error("{} is whole but not ours: move it away to begin anew", path.display())]
    Foreign {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The state has no JSON form.
    #[error("could not turn the state into JSON")]
    Unwritable(#[source] serde_json::Error),
    /// The checkpoint could not be saved.
    #[error("could not keep the state")]
    Save(#[from] SaveError),
    /// The progress could not be reported.
    #[error("could not say how far it is")]
    Report(#[from] ReportError),
}
