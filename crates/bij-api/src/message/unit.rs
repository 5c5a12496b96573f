//! What the coordinator does to the unit of an experiment for a caller who may not ask systemd.

use serde::{Deserialize, Serialize};

/// What is to be done to the unit of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRequest {
    /// The request, by systemctl's word.
    pub verb: UnitVerb,
}

/// A request of systemctl(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitVerb {
    /// Starts the unit; the gates of the queue are asked as at every start.
    Start,
    /// Stops the unit.
    Stop,
    /// Stops the unit and starts it again.
    Restart,
    /// Forgets that the unit failed, and how often it was started.
    ResetFailed,
}

impl UnitVerb {
    /// The verb as people say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::ResetFailed => "reset",
        }
    }
}

/// What became of the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitDone {
    /// What the request did.
    pub effect: UnitEffect,
    /// The result of a job that failed, in systemd's words: `failed`, `timeout`, `canceled`, …
    #[serde(default)]
    pub result: Option<String>,
}

/// What a request did to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitEffect {
    /// It was done.
    Changed,
    /// The unit already was as asked for.
    Unchanged,
    /// A condition of the unit, such as a closed gate, said "not now".
    Skipped,
    /// The job was done and failed.
    Failed,
}
