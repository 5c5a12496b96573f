//! The port for files that pass between a coordinator and the hooks and processes of an experiment.

use thiserror::Error;

use super::Closing;
use crate::{Attempt, Evidence, ExperimentId, Order, Progress, Timestamp, Witness};

/// The error of a handover file that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {what} of {id}")]
pub struct HandoverError {
    /// The experiment.
    pub id: ExperimentId,
    /// The content that could not be written: the extras, the order to stop.
    pub what: &'static str,
    /// The error of the system.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Writes files that the hooks read, and reads files that an experiment writes.
pub trait Handover: Send + Sync {
    /// Sets the extras (TOML) that override the definition from the next start on; an empty text removes them.
    ///
    /// # Errors
    /// [`HandoverError`] if they were not written; the start must then not continue.
    fn extras(&self, id: &ExperimentId, extras: &str) -> Result<(), HandoverError>;

    /// Writes the order to stop a running experiment, which its `end` hook reads, and the stop file, which asks
    /// the experiment to exit by itself.
    ///
    /// # Errors
    /// [`HandoverError`] if a file was not written; a stop continues without it.
    fn stop(&self, id: &ExperimentId, order: &Order) -> Result<(), HandoverError>;

    /// Returns the last order to stop, unless an attempt has begun since.
    fn order(&self, id: &ExperimentId) -> Option<Order>;

    /// Returns the newest progress of a running experiment, if it has reported any.
    fn progress(&self, id: &ExperimentId) -> Option<Progress>;

    /// Recovers the end of an attempt whose unit is inactive and whose `end` hook was killed or could not run.
    /// `now` is the time of that discovery. `None` if another supervisor, such as one in the foreground, may
    /// still be running the attempt.
    ///
    /// Without other sources, the evidence consists of the handover files: the order to stop, and the progress.
    fn find_end(&self, attempt: &Attempt, now: Timestamp) -> Option<Closing> {
        let id = &attempt.run.experiment;
        let evidence = Evidence {
            witness: Some(Witness::Coordinator),
            order: self.order(id),
            progress: self.progress(id),
            notes: vec!["no witness says how it ended".to_owned()],
            ..Evidence::default()
        };
        Some(Closing::from_evidence(attempt, now, None, evidence))
    }
}

/// A handover for experiments without hooks, which does nothing.
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
