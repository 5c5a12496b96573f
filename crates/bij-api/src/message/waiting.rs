//! One reason why a run waits.

use std::sync::Arc;

use bij_core::Timestamp;
use bij_core::queue::{Amount, WaitingOn};
use serde::{Deserialize, Serialize};

/// One closed gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its name: `slots`, `memory`, `hold`, …
    pub gate: Arc<str>,
    /// What it needs, in the gate's own unit.
    #[serde(default)]
    pub need: Option<Amount>,
    /// What there is of it.
    #[serde(default)]
    pub have: Option<Amount>,
    /// Since when it keeps the run waiting.
    pub since: Timestamp,
    /// The same as a sentence, without a full stop.
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
