//! Closed gates.

use std::sync::Arc;

use bij_core::Timestamp;
use bij_core::queue::{Amount, WaitingOn};
use serde::{Deserialize, Serialize};

/// A closed gate, which a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The name of the gate: `slots`, `memory`, `hold`, …
    pub gate: Arc<str>,
    /// The amount that the run needs, in the gate's own unit.
    #[serde(default)]
    pub need: Option<Amount>,
    /// The amount that is available.
    #[serde(default)]
    pub have: Option<Amount>,
    /// Since when the gate is closed for the run.
    pub since: Timestamp,
    /// A description, without a full stop.
    pub text: Arc<str>,
}

impl From<&WaitingOn> for Waiting {
    fn from(WaitingOn { gate, since }: &WaitingOn) -> Self {
        Self {
            gate: gate.name().into(),
            need: gate.need(),
            have: gate.have(),
            since: *since,
            text: gate.to_string().into(),
        }
    }
}
