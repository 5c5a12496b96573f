//! What a decision says.

use bij_core::port::Change;
use bij_core::queue::QueueState;
use bij_core::{ExperimentId, Order, RunId};

use super::Report;

/// What is to be done, and why the rest waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// To be carried out in this order: all changes go into the store, in one transaction, before
    /// the first unit is touched.
    pub actions: Vec<Action>,
    /// Why the rest waits.
    pub report: Report,
}

/// One thing to be done; doing it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Changes the queue.
    Change(Change),
    /// Lets a run start: it is `Starting` in the store, then its unit is started.
    Start {
        /// Which.
        run: RunId,
        /// Where it stands.
        from: QueueState,
        /// Why, for the event.
        why: String,
    },
    /// Stops a unit in good order: stop file, `SIGTERM`, and after its grace `SIGKILL`.
    Stop {
        /// Whose.
        experiment: ExperimentId,
        /// Why and who wants it, for the ledger.
        order: Order,
    },
}
