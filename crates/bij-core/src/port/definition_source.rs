//! The port that finds definitions.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use thiserror::Error;

use super::definition_error::{DefinitionError, Warning};
use crate::spec::ExperimentSpec;
use crate::{ExperimentId, InvalidExperimentId, Obstacle};

/// A definition that was found, and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundDefinition {
    /// The definition, merged with its `.env` file and with the extras of this run.
    pub spec: ExperimentSpec,
    /// The file that the definition was read from, for people.
    pub source: String,
    /// A hash of everything that the definition was made from: 16 hexadecimal digits.
    pub stamp: String,
    /// Harmless oddities of the definition.
    pub warnings: Vec<Warning>,
}

/// The error of a definition that cannot be found or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindError {
    /// There is no definition of the experiment.
    #[error("there is no experiment {id}; looked for {}", looked_for.join(", "))]
    Missing {
        /// The experiment.
        id: ExperimentId,
        /// The paths that were tried.
        looked_for: Vec<String>,
    },
    /// The definition has errors.
    #[error("the definition of {id} has an error")]
    Invalid {
        /// The experiment.
        id: ExperimentId,
        /// The errors and their lines.
        #[source]
        source: DefinitionError,
    },
    /// The name of the file is not `<id>.toml` or `<id>.json`.
    #[error("{path} is not named after an experiment id: rename it to <id>.toml or <id>.json")]
    BadName {
        /// The file.
        path: String,
        /// What is wrong with the name.
        #[source]
        source: InvalidExperimentId,
    },
    /// The file exists but cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// The error of the system.
        #[source]
        source: std::io::Error,
    },
}

/// Finds the definitions of experiments.
pub trait DefinitionSource: Send + Sync {
    /// Returns the definition of an experiment, with the extras of its next or current run.
    ///
    /// # Errors
    /// [`FindError`] if there is no usable definition.
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError>;

    /// Returns the definition of an experiment without the extras of a run.
    ///
    /// # Errors
    /// [`FindError`] if there is no usable definition.
    fn find_without_extras(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        self.find(id)
    }

    /// Returns the ids of all definitions, usable or not, in alphabetical order.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if a directory of definitions cannot be read.
    fn ids(&self) -> Result<Vec<ExperimentId>, FindError>;

    /// Returns the obstacles that certainly keep an experiment from being started on this machine, as far as
    /// the caller can see them. `path` is its `$PATH` if the definition sets none.
    fn obstacles(&self, _: &ExperimentSpec, _path: Option<&str>) -> Vec<Obstacle> {
        Vec::new()
    }

    /// Returns a number that changes whenever the result of [`find`](Self::find) may have changed. For files it
    /// is computed from their metadata, so it is cheap enough to check a cached definition every second.
    fn fingerprint(&self, id: &ExperimentId) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self.find(id) {
            Ok(found) => found.stamp.hash(&mut hasher),
            Err(error) => error.to_string().hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// Definitions that a program has created itself.
impl DefinitionSource for BTreeMap<ExperimentId, ExperimentSpec> {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        let missing = || FindError::Missing {
            id: id.clone(),
            looked_for: vec!["this program's own definitions".to_owned()],
        };
        let spec = self.get(id).ok_or_else(missing)?.clone();
        let mut hasher = DefaultHasher::new();
        format!("{spec:?}").hash(&mut hasher);
        let stamp = format!("{:016x}", hasher.finish());
        Ok(FoundDefinition { spec, source: "this program".to_owned(), stamp, warnings: Vec::new() })
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        Ok(self.keys().cloned().collect())
    }
}
