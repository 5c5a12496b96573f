//! Writing definitions and extras.

use std::io;
use std::path::Path;

use bij_core::port::DefinitionError;
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, Outcome};
use thiserror::Error;

use super::Definitions;
use super::definitions::name_of;
use super::read::{FileTrust, read};
use super::replace::{self, Readers};
use crate::{Definition, SourceFile, SpecOverlay, Syntax, to_toml};

/// The error of a definition or of extras that were not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The definition has errors.
    #[error("the definition of {id} has an error")]
    Invalid {
        /// The experiment of the definition.
        id: ExperimentId,
        /// The errors and their lines.
        #[source]
        source: DefinitionError,
    },
    /// A definition written by hand would hide it.
    #[error("{path} defines {id} by hand and takes precedence: change or remove that file")]
    ByHand {
        /// The experiment.
        id: ExperimentId,
        /// The definition written by hand.
        path: String,
    },
    /// The file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file that could not be written.
        path: String,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
}

impl Definitions {
    /// Writes a submitted definition, given as TOML; it replaces an earlier submitted definition.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing has been changed then.
    pub fn submit(&self, id: &ExperimentId, toml: &str) -> Result<Outcome, SubmitError> {
        let outcome = self.submit_without_sync(id, toml)?;
        if outcome == Outcome::Changed {
            self.sync_submitted()?;
        }
        Ok(outcome)
    }

    /// Writes one of many definitions as [`submit`](Self::submit) does, but a power cut can undo it until one
    /// call of [`sync_submitted`](Self::sync_submitted) for all of them.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing has been changed then.
    pub fn submit_without_sync(
        &self,
        id: &ExperimentId,
        toml: &str,
    ) -> Result<Outcome, SubmitError> {
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
        if matches!(read(&path, FileTrust::Authority(self.authority)), Ok(Some(bytes)) if bytes == toml.as_bytes())
        {
            return Ok(Outcome::Unchanged);
        }
        replace::replace_without_sync(&path, toml.as_bytes(), readers(&parsed.spec))
            .map(|()| Outcome::Changed)
            .map_err(|source| SubmitError::Write { path: name, source })
    }

    /// Syncs the directory of submitted definitions, so that a power cut cannot undo a submission.
    ///
    /// # Errors
    /// [`SubmitError::Write`] if the directory cannot be synced.
    pub fn sync_submitted(&self) -> Result<(), SubmitError> {
        let directory = self.layout.submitted();
        replace::sync_parent(&directory.join("any"))
            .map_err(|source| SubmitError::Write { path: name_of(&directory), source })
    }

    /// Writes a submitted definition under a generated id and returns it with that id: the name of the
    /// program and the first unused number.
    ///
    /// The id of `spec` is ignored. Concurrent callers get different ids.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing has been changed then.
    pub fn submit_ad_hoc(&self, mut spec: ExperimentSpec) -> Result<ExperimentSpec, SubmitError> {
        let program = spec.command.first().cloned().unwrap_or_default();
        let toml = to_toml(&spec);
        for number in 1.. {
            spec.id = generated_id(&program, number);
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

    /// Sets the extras of the next run; empty extras remove them.
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
        if matches!(read(&path, FileTrust::Authority(self.authority)), Ok(Some(bytes)) if bytes == toml.as_bytes())
        {
            return Ok(Outcome::Unchanged);
        }
        replace::replace(&path, toml.as_bytes(), Readers::Owner)
            .map(|()| Outcome::Changed)
            .map_err(|source| SubmitError::Write { path: name_of(&path), source })
    }

    /// Removes the extras.
    ///
    /// # Errors
    /// [`SubmitError::Write`] if it cannot be removed.
    pub fn clear_extras(&self, id: &ExperimentId) -> Result<Outcome, SubmitError> {
        remove(&self.extras_path(id))
    }

    /// Returns whether an id has a definition or a state directory, so that a new command must not use it.
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

/// Returns the accounts that may read a submitted definition: variables can contain secrets.
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

/// The longest part of a generated id that comes from the program's name.
const MAX_BASE_LEN: usize = 40;

/// Returns the id of this number for a program: `/usr/bin/python3` gives `python3-1`.
fn generated_id(program: &str, number: u32) -> ExperimentId {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let cleaned: String = name.chars().map(|c| if is_allowed(c) { c } else { '-' }).collect();
    let cleaned = cleaned.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let cleaned: String = cleaned.chars().take(MAX_BASE_LEN).collect();
    let cleaned = cleaned.trim_end_matches(['-', '.']);
    let base = if cleaned.is_empty() { "command" } else { cleaned };
    ExperimentId::new(&format!("{base}-{number}"))
        .expect("a letter or digit, then at most 50 of the alphabet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_begins_with_the_name_of_the_program() {
        for (program, id) in [
            ("/usr/bin/python3", "python3-1"),
            ("run.sh", "run.sh-1"),
            ("/opt/my tool (new)", "my-tool--new-1"),
            ("/opt/.hidden", "hidden-1"),
            ("/opt/été", "t-1"),
            ("/", "command-1"),
            ("", "command-1"),
            ("ééé", "command-1"),
        ] {
            assert_eq!(generated_id(program, 1).as_str(), id, "{program}");
        }
        assert!(generated_id(&"x".repeat(5000), u32::MAX).as_str().len() <= ExperimentId::MAX_LEN);
    }
}
