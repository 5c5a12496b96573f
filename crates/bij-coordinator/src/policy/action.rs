//! Decisions and the actions in them.

use bij_core::port::{Change, Closing};
use bij_core::queue::QueueState;
use bij_core::{ExperimentId, Order, RunId};

use super::Report;

/// Actions to carry out now, and the reasons why the other runs wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// They are carried out in this order: ends of attempts are recorded, all changes go into the store, in one
    /// transaction, then units are started and stopped.
    pub actions: Vec<Action>,
    /// Why the other runs wait.
    pub report: Report,
}

/// One action; it is idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Records the end of an attempt in the ledger.
    Close {
        /// Run of the attempt.
        run: RunId,
        /// How it ended.
        end: Box<Closing>,
    },
    /// Writes this change to the queue.
    Change(Change),
    /// Starts a run: it becomes `Starting` in the store, then its unit is started.
    Start {
        /// Run to start.
        run: RunId,
        /// State that it is in until then.
        from: QueueState,
        /// Reason, for the event.
        why: String,
    },
    /// Stops a unit: stop file, `SIGTERM`, and `SIGKILL` after its grace period.
    Stop {
        /// Experiment whose unit is stopped.
        experiment: ExperimentId,
        /// Reason and requester, for the ledger.
        order: Order,
    },
}
