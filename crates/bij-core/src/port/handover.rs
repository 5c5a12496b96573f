//! What passes between a coordinator and the hooks and processes of an experiment.

use thiserror::Error;

use super::Closing;
use crate::{Attempt, Evidence, ExperimentId, Order, Progress, Timestamp, Witness};

/// Why something could not be handed over.
#[derive(Debug, Error)]
#[error("cannot put down {what} of {id}")]
pub struct HandoverError {
    /// Whose.
    pub id: ExperimentId,
    /// What: the extras, the order to stop.
    pub what: &'static str,
    /// What the system said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Puts down for hooks what they must find, and reads what an experiment has put down.
pub trait Handover: Send + Sync {
    /// Lays this over the definition from the next start on, as TOML; empty takes away what was
    /// there.
    ///
    /// # Errors
    /// [`HandoverError`] if it is not in place; the start must not go on then.
    fn extras(&self, id: &ExperimentId, extras: &str) -> Result<(), HandoverError>;

    /// Says who wants the end of an experiment that is up, and why, and asks it to leave by itself:
    /// the order that `end` finds, and the stop file.
    ///
    /// # Errors
    /// [`HandoverError`] if it is not in place; a stop goes on without.
    fn stop(&self, id: &ExperimentId, order: &Order) -> Result<(), HandoverError>;

    /// The order to stop that was put down last, as long as no attempt has begun since.
    fn order(&self, id: &ExperimentId) -> Option<Order>;

    /// The newest progress of an experiment that is up, if it has told any.
    fn progress(&self, id: &ExperimentId) -> Option<Progress>;

    /// How an attempt ended whose unit is down, and of whose end nobody has told: its `end` hook was
    /// killed, or could not run. `now` is when that was found out. `None` if it may live on under
    /// somebody else, such as a supervisor in the foreground.
    ///
    /// Where there are no other witnesses, this is what was handed over: the order to stop, and the
    /// progress.
    fn find_end(&self, attempt: &Attempt, now: Timestamp) -> Option<Closing> {
        let id = &attempt.run.experiment;
        let evidence = Evidence {
            witness: Some(Witness::Coordinator),
            order: self.order(id),
            progress: self.progress(id),
            notes: vec!["no witness says how it ended".to_owned()],
            ..Evidence::default()
        };
        Some(Closing::of(attempt, now, None, evidence))
    }
}

/// Where experiments have no hooks there is nobody to hand anything to.
impl Handover for () {
    fn extras(&self, _: &ExperimentId, _: &str) -> Result<(), HandoverError> {
        Ok(())
    }

    fn stop(&self, _: &ExperimentId, _: &Order) -> Result<(), HandoverError> {
        Ok(())
    }

    fn order(&self, _: &ExperimentId) -> Option<Order> {
        None
    }

    fn progress(&self, _: &ExperimentId) -> Option<Progress> {
        None
    }
}
