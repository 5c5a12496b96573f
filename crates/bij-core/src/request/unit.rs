//! Requests to control the unit of an experiment, for callers that systemd would refuse.

/// A request to control the unit of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct UnitRequest {
    /// The request, named as in systemctl(1).
    pub verb: UnitVerb,
}

/// A request of systemctl(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum UnitVerb {
    /// Starts the unit; the gates of the queue apply as to any start.
    Start,
    /// Stops the unit.
    Stop,
    /// Stops the unit and starts it again.
    Restart,
    /// Resets the failed state of the unit, and its count of starts.
    ResetFailed,
}

impl UnitVerb {
    /// Returns the verb for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::ResetFailed => "reset",
        }
    }
}

/// The result of a [`UnitRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnitDone {
    /// The effect of the request.
    pub effect: UnitEffect,
    /// The result of a failed job, as systemd names it: `failed`, `timeout`, `canceled`, …
    #[cfg_attr(feature = "serde", serde(default))]
    pub result: Option<String>,
}

/// The effect of a request on a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum UnitEffect {
    /// The request was executed.
    Changed,
    /// The unit already was in the requested state.
    Unchanged,
    /// A condition of the unit, such as a closed gate, skipped the start.
    Skipped,
    /// The job failed.
    Failed,
}
