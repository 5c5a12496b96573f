//! Where definitions come from.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use thiserror::Error;

use crate::definition::{DefinitionError, ExperimentSpec, Warning};
use crate::{ExperimentId, InvalidExperimentId, Obstacle};

/// A definition as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The definition, with its `.env` and what holds for this run only laid over it.
    pub spec: ExperimentSpec,
    /// The name of what it was read from, for people.
    pub source: String,
    /// Changes whenever anything that it was made from changes: 16 hexadecimal digits.
    pub stamp: String,
    /// What is odd about it but does no harm.
    pub warnings: Vec<Warning>,
}

/// Why there is no definition.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindError {
    /// Nobody has defined it.
    #[error("there is no experiment {id}; looked for {}", looked_for.join(", "))]
    Missing {
        /// The experiment.
        id: ExperimentId,
        /// The paths that were tried.
        looked_for: Vec<String>,
    },
    /// It is there and wrong.
    #[error("the definition of {id} has an error")]
    Invalid {
        /// The experiment.
        id: ExperimentId,
        /// What is wrong where.
        #[source]
        source: DefinitionError,
    },
    /// The file is there, but its name is no experiment's.
    #[error("{path} has no experiment's name: rename it to <id>.toml or <id>.json")]
    BadName {
        /// The file.
        path: String,
        /// What is wrong with the name.
        #[source]
        source: InvalidExperimentId,
    },
    /// It is there and cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Finds definitions.
pub trait DefinitionSource: Send + Sync {
    /// The definition of one experiment.
    ///
    /// # Errors
    /// [`FindError`] if there is none that can be used.
    fn find(&self, id: &ExperimentId) -> Result<Found, FindError>;

    /// The definition of one experiment with nothing laid over it for one run only.
    ///
    /// # Errors
    /// [`FindError`] if there is none that can be used.
    fn find_without_extras(&self, id: &ExperimentId) -> Result<Found, FindError> {
        self.find(id)
    }

    /// The ids of all definitions, usable or not, in alphabetical order.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if a directory of definitions cannot be read.
    fn ids(&self) -> Result<Vec<ExperimentId>, FindError>;

    /// Returns what certainly keeps an experiment from being started on this machine, as far as the caller
    /// can see; `path` is its `$PATH` where the definition gives none.
    fn obstacles(&self, _: &ExperimentSpec, _path: Option<&str>) -> Vec<Obstacle> {
        Vec::new()
    }

    /// Changes whenever what [`find`](Self::find) says may have changed. Where definitions are files it
    /// costs a look at their dates, so that somebody who keeps what he has found may ask every second.
    fn fingerprint(&self, id: &ExperimentId) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self.find(id) {
            Ok(found) => found.stamp.hash(&mut hasher),
            Err(error) => error.to_string().hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// Definitions that a program has made itself.
impl DefinitionSource for BTreeMap<ExperimentId, ExperimentSpec> {
    fn find(&self, id: &ExperimentId) -> Result<Found, FindError> {
        let missing = || FindError::Missing {
            id: id.clone(),
            looked_for: vec!["this program's own definitions".to_owned()],
        };
        let spec = self.get(id).ok_or_else(missing)?.clone();
        let mut hasher = DefaultHasher::new();
        format!("{spec:?}").hash(&mut hasher);
        let stamp = format!("{:016x}", hasher.finish());
        Ok(Found { spec, source: "this program".to_owned(), stamp, warnings: Vec::new() })
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        Ok(self.keys().cloned().collect())
    }
}
