//! Why a coordinator does not do what it is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use bij_core::definition::{DefinitionError, DeniedExtra};
use bij_core::port::{FindError, LedgerError};
use bij_core::queue::{Dependency, GroupName, QueueState, RunRef};
use bij_core::{ExperimentId, RunEnd, RunId};
use thiserror::Error;

use crate::policy::{Cycle, Inadmissible};

/// Why a coordinator does not do what it is asked for; nothing of the request has been done then.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There never was such a run.
    #[error("there is no run {0}")]
    NoSuchRun(RunRef),
    /// It is over.
    #[error("{run} is over: {end}")]
    Over {
        /// Which.
        run: RunRef,
        /// How it ended.
        end: RunEnd,
    },
    /// It is up, and what is asked for is for runs that wait.
    #[error("{run} is {} and no longer waits", .state.as_str())]
    NotWaiting {
        /// Which.
        run: RunId,
        /// Where it stands.
        state: QueueState,
    },
    /// It is on its way up, and cannot be taken back before it is there.
    #[error("{run} is just being started")]
    JustStarting {
        /// Which.
        run: RunId,
    },
    /// A run is to be put beside one that does not wait, or beside itself.
    #[error("{run} cannot be put beside {other}")]
    NoPlace {
        /// Which.
        run: RunId,
        /// Beside which.
        other: RunId,
    },
    /// It has no usable definition.
    #[error("{experiment} cannot be run")]
    Definition {
        /// Which experiment.
        experiment: ExperimentId,
        /// Why.
        #[source]
        source: Arc<FindError>,
    },
    /// What is to be laid over the definition is wrong.
    #[error("the extras of {experiment} have an error")]
    Extras {
        /// Of which experiment.
        experiment: ExperimentId,
        /// What is wrong where.
        #[source]
        source: DefinitionError,
    },
    /// The caller may not lay that over the definition.
    #[error("{by} {source} ({experiment})")]
    DeniedExtra {
        /// Which experiment.
        experiment: ExperimentId,
        /// The caller.
        by: String,
        /// What is denied.
        source: DeniedExtra,
    },
    /// It could never start.
    #[error("{experiment} could never start: {source}")]
    Inadmissible {
        /// Which experiment.
        experiment: ExperimentId,
        /// Why.
        source: Inadmissible,
    },
    /// Runs would wait for each other.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// It waits for what does not exist.
    #[error("{experiment} cannot wait for {on}: there is no such run, and no such experiment")]
    UnknownDependency {
        /// Which experiment.
        experiment: ExperimentId,
        /// For what.
        on: Dependency,
    },
    /// There is no such group.
    #[error("there is no group {name}; the groups are {}", list(.known))]
    NoSuchGroup {
        /// Which.
        name: GroupName,
        /// Those that there are.
        known: Vec<GroupName>,
    },
    /// It stands in the settings, and nobody has changed it by hand.
    #[error("group {0} is set up in the settings alone")]
    DeclaredGroup(GroupName),
    /// A group without slots.
    #[error("group {0} with 0 slots would never run anything")]
    NoSlots(GroupName),
    /// It is up, and wants the board as it is.
    #[error("{run} is up and wants power mode {wanted}")]
    PowerInUse {
        /// Which.
        run: RunId,
        /// The mode that it wants.
        wanted: String,
    },
    /// Nothing is asked for.
    #[error("no run is named")]
    Nothing,
    /// Too much is asked for at once.
    #[error("{asked} runs are more than the {at_most} that are taken at once")]
    TooMany {
        /// How many.
        asked: usize,
        /// How many at most.
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
    /// What helps, where that is known; a fragment without a full stop.
    pub fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::DeniedExtra { source, .. } => return Some(Cow::Owned(source.remedy())),
            Self::NoSuchRun(_) => "see what there is: bij queue",
            Self::Over { .. } => "submit it again: bij submit",
            Self::NotWaiting { .. } => "put it back into the queue: bij requeue; or bij stop",
            Self::JustStarting { .. } => "try again in a moment",
            Self::NoPlace { .. } => "name another run that waits: bij queue",
            Self::Inadmissible { source, .. } => source.remedy(),
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
            Self::Definition { .. }
            | Self::Extras { .. }
            | Self::Cycle(_)
            | Self::Nothing
            | Self::Store(_) => return None,
        }))
    }
}
