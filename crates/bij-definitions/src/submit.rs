//! Writing definitions and extras.

use std::io;
use std::path::Path;

use bij_core::definition::{
    Definition, DefinitionError, ExperimentSpec, SourceFile, SpecOverlay, Syntax,
};
use bij_core::{ExperimentId, Outcome};
use thiserror::Error;

use crate::Definitions;
use crate::ad_hoc::made_id;
use crate::definitions::name_of;
use crate::read::{Whose, read};
use crate::replace::{self, Readers};

/// Why nothing was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The definition is wrong.
    #[error("the definition of {id} has an error")]
    Invalid {
        /// The experiment.
        id: ExperimentId,
        /// What is wrong where.
        #[source]
        source: DefinitionError,
    },
    /// One written by hand is there and would hide it.
    #[error("{path} defines {id} by hand and is stronger: change or remove that file")]
    ByHand {
        /// The experiment.
        id: ExperimentId,
        /// The file.
        path: String,
    },
    /// The file system says no.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Definitions {
    /// Takes in a definition, given as TOML; an earlier submitted one is replaced.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing has been changed then.
    pub fn submit(&self, id: &ExperimentId, toml: &str) -> Result<Outcome, SubmitError> {
        let outcome = self.submit_unsettled(id, toml)?;
        if outcome == Outcome::Changed {
            self.settle_submitted()?;
        }
        Ok(outcome)
    }

    /// As [`submit`](Self::submit), for one of many: a power cut can undo it until
    /// [`settle_submitted`](Self::settle_submitted), once for all of them.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing has been changed then.
    pub fn submit_unsettled(&self, id: &ExperimentId, toml: &str) -> Result<Outcome, SubmitError> {
        let path = self.layout.submitted().join(format!("{id}.toml"));
        let name = name_of(&path);
        let parsed = Definition::new(id, SourceFile::new(&name, toml.as_bytes()), Syntax::Toml)
            .parse()
            .map_err(|source| SubmitError::Invalid { id: id.clone(), source })?;
        for ending in ["toml", "json"] {
            let by_hand = self.layout.definitions().join(format!("{id}.{ending}"));
            if by_hand.symlink_metadata().is_ok() {
                return Err(SubmitError::ByHand { id: id.clone(), path: name_of(&by_hand) });
            }
        }
        if matches!(read(&path, Whose::Only(self.authority)), Ok(Some(bytes)) if bytes == toml.as_bytes())
        {
            return Ok(Outcome::Unchanged);
        }
        replace::replace_unsettled(&path, toml.as_bytes(), readers(&parsed.spec))
            .map(|()| Outcome::Changed)
            .map_err(|source| SubmitError::Write { path: name, source })
    }

    /// Sees to it that no power cut undoes what was submitted.
    ///
    /// # Errors
    /// [`SubmitError::Write`] if the file system cannot.
    pub fn settle_submitted(&self) -> Result<(), SubmitError> {
        let directory = self.layout.submitted();
        replace::sync_parent(&directory.join("any"))
            .map_err(|source| SubmitError::Write { path: name_of(&directory), source })
    }

    /// Takes in a definition under a made name, which it returns with the definition: the
    /// program's and the first number that nobody has had.
    ///
    /// The id of `spec` is not used. Two callers at the same time get two names.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing has been changed then.
    pub fn submit_ad_hoc(&self, mut spec: ExperimentSpec) -> Result<ExperimentSpec, SubmitError> {
        let program = spec.command.first().cloned().unwrap_or_default();
        let toml = spec.to_toml();
        for number in 1.. {
            spec.id = made_id(&program, number);
            let id = &spec.id;
            if self.is_taken(id) {
                continue;
            }
            let path = self.layout.submitted().join(format!("{id}.toml"));
            let name = name_of(&path);
            Definition::new(id, SourceFile::new(&name, toml.as_bytes()), Syntax::Toml)
                .parse()
                .map_err(|source| SubmitError::Invalid { id: id.clone(), source })?;
            match replace::create(&path, toml.as_bytes(), readers(&spec)) {
                Ok(true) => break,
                Ok(false) => {}
                Err(source) => return Err(SubmitError::Write { path: name, source }),
            }
        }
        Ok(spec)
    }

    /// Removes a submitted definition.
    ///
    /// # Errors
    /// [`SubmitError::Write`] if it cannot be removed.
    pub fn withdraw(&self, id: &ExperimentId) -> Result<Outcome, SubmitError> {
        remove(&self.layout.submitted().join(format!("{id}.toml")))
    }

    /// Sets what holds for one run only; nothing to add clears it.
    ///
    /// # Errors
    /// [`SubmitError::Write`] if it cannot be written.
    pub fn set_extras(
        &self,
        id: &ExperimentId,
        extras: &SpecOverlay,
    ) -> Result<Outcome, SubmitError> {
        if extras.is_empty() {
            return self.clear_extras(id);
        }
        let path = self.extras_path(id);
        let toml = extras.to_toml();
        if matches!(read(&path, Whose::Only(self.authority)), Ok(Some(bytes)) if bytes == toml.as_bytes())
        {
            return Ok(Outcome::Unchanged);
        }
        replace::replace(&path, toml.as_bytes(), Readers::Owner)
            .map(|()| Outcome::Changed)
            .map_err(|source| SubmitError::Write { path: name_of(&path), source })
    }

    /// Removes what held for one run only.
    ///
    /// # Errors
    /// [`SubmitError::Write`] if it cannot be removed.
    pub fn clear_extras(&self, id: &ExperimentId) -> Result<Outcome, SubmitError> {
        remove(&self.extras_path(id))
    }

    /// Whether an id is or was somebody's: then its history and state are not a new command's.
    fn is_taken(&self, id: &ExperimentId) -> bool {
        let layout = &self.layout;
        let files = ["toml", "json", "env"].map(|ending| format!("{id}.{ending}"));
        let by_hand = files.iter().map(|file| layout.definitions().join(file));
        let submitted = files.iter().map(|file| layout.submitted().join(file));
        by_hand
            .chain(submitted)
            .chain([layout.experiment_state(id)])
            .any(|path| path.symlink_metadata().is_ok())
    }
}

/// Those who may read a submitted definition: variables can hold secrets.
fn readers(spec: &ExperimentSpec) -> Readers {
    if spec.environment.is_empty() { Readers::All } else { Readers::Owner }
}

fn remove(path: &Path) -> Result<Outcome, SubmitError> {
    match replace::remove(path) {
        Ok(true) => Ok(Outcome::Changed),
        Ok(false) => Ok(Outcome::Unchanged),
        Err(source) => Err(SubmitError::Write { path: name_of(path), source }),
    }
}
