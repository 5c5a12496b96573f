//! How an attempt is held back from elsewhere.

use std::sync::mpsc;

use bij_core::Percent;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Order;

/// How it is to be held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Steer {
    /// Whether its processes stand still.
    Frozen(bool),
    /// How much processor time they may use, beside what its definition allows.
    CpuCap(Option<Percent>),
}

/// What became of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Steered {
    Changed,
    Unchanged,
    /// No process of it is there to be held back, for now.
    NotUp,
    /// Nothing on this machine does that.
    Unsupported,
    /// The system refused it, and why.
    Refused(String),
}

/// Reaches the keeper of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Wheel(mpsc::Sender<Order>);

impl Wheel {
    pub(super) fn new(orders: mpsc::Sender<Order>) -> Self {
        Self(orders)
    }

    /// Holds it back, or no longer.
    pub(crate) async fn turn(&self, steer: Steer) -> Steered {
        let (reply, answer) = oneshot::channel();
        // A keeper that has left has emptied its jar.
        let _ = self.0.send(Order::Steer(steer, reply));
        answer.await.unwrap_or(Steered::NotUp)
    }
}
