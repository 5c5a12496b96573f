//! Freezes and throttles an attempt from outside its guard thread.

use std::sync::mpsc;

use bij_core::Percent;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::GuardRequest;

/// A request to freeze or throttle an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SteerRequest {
    /// Freezes the processes, or thaws them.
    Frozen(bool),
    /// Caps the processor time in addition to the definition's limit; `None` removes the cap.
    CpuCap(Option<Percent>),
}

/// The result of a [`SteerRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SteerOutcome {
    Changed,
    Unchanged,
    /// The attempt has no process now.
    NotUp,
    /// This machine cannot do it.
    Unsupported,
    /// The kernel refused it, for this reason.
    Refused(String),
}

/// Sends steering requests to the guard thread of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct SteeringHandle(mpsc::Sender<GuardRequest>);

impl SteeringHandle {
    pub(super) fn new(requests: mpsc::Sender<GuardRequest>) -> Self {
        Self(requests)
    }

    /// Sends a request and returns its result.
    pub(crate) async fn steer(&self, steer: SteerRequest) -> SteerOutcome {
        let (reply, answer) = oneshot::channel();
        // A guard thread that has ended has left no process.
        let _ = self.0.send(GuardRequest::Steer(steer, reply));
        answer.await.unwrap_or(SteerOutcome::NotUp)
    }
}
