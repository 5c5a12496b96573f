//! What is asked for when a run is taken into the queue.

use serde::{Deserialize, Serialize};

use super::{Claim, Dependencies, GroupName, NotBefore};
use crate::ExperimentId;
use crate::definition::{Clocks, PowerMode};

/// A run that is to be taken into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Of which experiment.
    pub experiment: ExperimentId,
    /// When it may start.
    pub terms: Terms,
    /// Who keeps it from starting until it is released, if anybody.
    pub held: Option<String>,
    /// What is laid over the definition in this run only, as TOML; empty for nothing.
    pub extras: String,
    /// Who asks, a person's name for output.
    pub by: String,
    /// How it came here.
    pub origin: Origin,
}

/// How a run came into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// By `bij submit`.
    Submit,
    /// By a start of its unit that came from elsewhere: `systemctl start`, the boot.
    Start,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Submit, Self::Start];

    /// The word for it in output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Start => "start",
        }
    }
}

/// On what terms a run may start; what can be edited while it waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Higher goes first.
    pub priority: i32,
    /// Whose slots it uses.
    pub group: GroupName,
    /// What it takes of the machine.
    pub claim: Claim,
    /// Not before this.
    pub not_before: Option<NotBefore>,
    /// Not before these.
    pub after: Dependencies,
    /// Whether it passes the gates: `bij start --now`.
    pub now: bool,
    /// `[power] mode`: the power mode of the board that it wants.
    pub power: Option<PowerMode>,
    /// `[power] clocks`: how it wants the clocks while it is up.
    pub clocks: Clocks,
}
