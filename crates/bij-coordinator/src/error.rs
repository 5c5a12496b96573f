//! Reasons for which requests are refused.

use std::borrow::Cow;
use std::sync::Arc;

use bij_core::port::{DefinitionError, FindError, LedgerError};
use bij_core::queue::{Dependency, GroupName, QueueState, RunRef};
use bij_core::{ExperimentId, RunEnd, RunId};
use bij_definition::DeniedExtra;
use thiserror::Error;

use crate::policy::SubmitError;

/// Reason why a request is refused; nothing of it has been carried out.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The run never existed.
    #[error("there is no run {0}")]
    NoSuchRun(RunRef),
    /// The run has ended.
    #[error("{run} is over: {end}")]
    Over {
        /// Run that was named.
        run: RunRef,
        /// How it ended.
        end: RunEnd,
    },
    /// The run is up, and the request applies to waiting runs.
    #[error("{run} is {} and no longer waits", .state.as_str())]
    NotWaiting {
        /// Run that was named.
        run: RunId,
        /// Its state.
        state: QueueState,
    },
    /// The run is just starting, and cannot be taken back before it is up.
    #[error("{run} is just being started")]
    JustStarting {
        /// Run that was named.
        run: RunId,
    },
    /// The run to move beside does not wait, or is the moved run itself.
    #[error("{run} cannot be put beside {other}")]
    NoPosition {
        /// Run to move.
        run: RunId,
        /// Run to move beside.
        other: RunId,
    },
    /// The experiment has no usable definition.
    #[error("{experiment} cannot be run")]
    Definition {
        /// Experiment that was named.
        experiment: ExperimentId,
        /// Error of the definition.
        #[source]
        source: Arc<FindError>,
    },
    /// The extras are invalid.
    #[error("the extras of {experiment} have an error")]
    Extras {
        /// Experiment that was named.
        experiment: ExperimentId,
        /// Error, with its location in the extras.
        #[source]
        source: DefinitionError,
    },
    /// The caller may not set these extras.
    #[error("{by} {source} ({experiment})")]
    DeniedExtra {
        /// Experiment that was named.
        experiment: ExperimentId,
        /// Name of the caller.
        by: String,
        /// Extra that is denied.
        source: DeniedExtra,
    },
    /// The run could never start.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A dependency names a run or experiment that does not exist.
    #[error("{experiment} cannot wait for {on}: there is no such run, and no such experiment")]
    UnknownDependency {
        /// Experiment that was named.
        experiment: ExperimentId,
        /// Dependency that does not exist.
        on: Dependency,
    },
    /// The group does not exist.
    #[error("there is no group {name}; the groups are {}", list(.known))]
    NoSuchGroup {
        /// Group that was named.
        name: GroupName,
        /// Groups that exist.
        known: Vec<GroupName>,
    },
    /// The group is set up only in the settings, so it cannot be removed by a request.
    #[error("group {0} is set up in the settings alone")]
    DeclaredGroup(GroupName),
    /// A group would have no slots.
    #[error("group {0} with 0 slots would never run anything")]
    NoSlots(GroupName),
    /// A run that is up needs the power mode in force.
    #[error("{run} is up and wants power mode {wanted}")]
    PowerInUse {
        /// Run that is up.
        run: RunId,
        /// Power mode that it needs.
        wanted: String,
    },
    /// The request names no run.
    #[error("no run is named")]
    Nothing,
    /// The request names too many runs.
    #[error("{asked} runs are more than the {at_most} that are taken at once")]
    TooMany {
        /// Number of runs named.
        asked: usize,
        /// Largest number allowed now.
        at_most: usize,
    },
    /// The store could not be read or written; nothing was acknowledged.
    #[error("the queue could not be kept")]
    Store(#[source] Arc<LedgerError>),
}

fn list(names: &[GroupName]) -> String {
    names.iter().map(GroupName::as_str).collect::<Vec<_>>().join(", ")
}

impl RequestError {
    /// Returns a remedy, if one is known, as a fragment.
    pub fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::DeniedExtra { source, .. } => return Some(Cow::Owned(source.remedy())),
            Self::NoSuchRun(_) => "see what there is: bij queue",
            Self::Over { .. } => "submit it again: bij submit",
            Self::NotWaiting { .. } => "put it back into the queue: bij requeue; or bij stop",
            Self::JustStarting { .. } => "try again in a moment",
            Self::NoPosition { .. } => "name another run that waits: bij queue",
            Self::Submit(source) => return source.remedy().map(Cow::Borrowed),
            Self::UnknownDependency { .. } => "see what there is: bij list, bij queue",
            Self::NoSuchGroup { .. } => "set it up: bij groups set NAME --slots N",
            Self::DeclaredGroup(_) => "take it out of coordinator.toml, then bij reload",
            Self::NoSlots(_) => "pause it: bij pause NAME",
            Self::PowerInUse { .. } => "stop it first: bij stop; or wait until it has ended",
            Self::TooMany { .. } => "submit them in several calls",
            Self::Store(source) if source.is_transient() => {
                "try again; if the disk is full, make room"
            }
            Self::Store(source) if matches!(**source, LedgerError::Replaced(_)) => {
                "put the file back, or have an empty one made: systemctl restart brain-experiment-coordinator"
            }
            Self::Definition { .. } | Self::Extras { .. } | Self::Nothing | Self::Store(_) => {
                return None;
            }
        }))
    }
}
