//! The submission of a run to the queue.

use super::{Claim, Dependencies, GroupName, NotBefore};
use crate::ExperimentId;
use crate::spec::{Clocks, PowerModeRef};

/// A run to be added to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The experiment of the run.
    pub experiment: ExperimentId,
    /// The terms on which it may start.
    pub terms: Terms,
    /// The account that holds the run until it is released; `None` if it is not held.
    pub held: Option<String>,
    /// Settings that override the definition in this run only, as TOML; empty for none.
    pub extras: String,
    /// The name of the account that submits it, for output.
    pub by: String,
    /// How the run is queued.
    pub origin: Origin,
}

impl Submission {
    /// Creates the submission of a run by an account, with default terms and as defined.
    pub fn new(experiment: ExperimentId, by: impl Into<String>) -> Self {
        Self {
            experiment,
            terms: Terms::default(),
            held: None,
            extras: String::new(),
            by: by.into(),
            origin: Origin::Submit,
        }
    }
}

/// How a run was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Origin {
    /// By `bij submit`.
    Submit,
    /// By a start of its unit from elsewhere: `systemctl start`, the boot.
    Start,
}

impl Origin {
    /// All origins of runs.
    pub const ALL: [Self; 2] = [Self::Submit, Self::Start];

    /// Returns the name of the origin in output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Start => "start",
        }
    }
}

/// The terms on which a run may start. They can be edited while it waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The priority; runs with a higher priority start first.
    pub priority: i32,
    /// The group whose slots it uses.
    pub group: GroupName,
    /// The resources that it claims.
    pub claim: Claim,
    /// The earliest start.
    pub not_before: Option<NotBefore>,
    /// The dependencies on other runs.
    pub after: Dependencies,
    /// Whether the run starts even if gates are closed: `bij start --now`.
    pub now: bool,
    /// The power mode of the board that it needs: `[power] mode`.
    pub power: Option<PowerModeRef>,
    /// The clocks that it needs while it runs: `[power] clocks`.
    pub clocks: Clocks,
}
