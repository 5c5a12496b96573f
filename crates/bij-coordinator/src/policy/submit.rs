//! Submission of runs to a state.

use bij_core::queue::{QueuePosition, QueuedRun, Submission, Terms};
use bij_core::{ExperimentId, RunId, RunNumber, Timestamp};
use thiserror::Error;

use super::{Cycle, Inadmissible, Joining, Observation, State, admissible, find_cycle};

/// Reason why a submission is refused: its run could never start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The machine cannot give what the run needs.
    #[error("{experiment} could never start: {source}")]
    Inadmissible {
        /// Experiment that was submitted.
        experiment: ExperimentId,
        /// Reason, with its numbers.
        source: Inadmissible,
    },
    /// Runs would wait for each other for ever.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// No run number is left.
    #[error("{0} has had as many runs as can be counted")]
    NoNumberLeft(ExperimentId),
}

impl SubmitError {
    /// Returns a remedy, if one is known, as a fragment.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Inadmissible { source, .. } => Some(source.remedy()),
            Self::Cycle(_) | Self::NoNumberLeft(_) => None,
        }
    }
}

impl State {
    /// Adds a run to the queue, behind all others of its priority, and returns it with its number and position.
    ///
    /// The number is one higher than all [numbers](Self::numbers) and queued runs of the experiment. A program that
    /// keeps its queue in a store submits to the store, and inserts the run that it returns into
    /// [`runs`](Self::runs).
    ///
    /// # Errors
    /// [`SubmitError`] if the run could never start; the state is then unchanged.
    pub fn submit(
        &mut self,
        submission: &Submission,
        seen: &Observation,
    ) -> Result<&QueuedRun, SubmitError> {
        let Submission { experiment, terms, .. } = submission;
        self.check_admissible(experiment, terms, seen)?;
        find_cycle(self, &[Joining { run: None, experiment, after: &terms.after }])?;
        let newest = self.numbers.get(experiment).copied().unwrap_or(RunNumber(0));
        if self.newest_number(experiment).max(newest) == RunNumber(u32::MAX) {
            return Err(SubmitError::NoNumberLeft(experiment.clone()));
        }
        let position = self.next_position();
        Ok(self.enqueue(submission, newest, position, seen.now.at))
    }

    /// Checks that a run with these terms could ever start, as [`admissible`](fn@super::admissible) does, on the
    /// observed machine.
    ///
    /// # Errors
    /// [`SubmitError::Inadmissible`] with the numbers that rule it out.
    pub fn check_admissible(
        &self,
        experiment: &ExperimentId,
        terms: &Terms,
        seen: &Observation,
    ) -> Result<(), SubmitError> {
        let total = seen.sample.memory_total.as_ref().ok().copied();
        admissible(terms, &self.settings, total, &seen.power)
            .map_err(|source| SubmitError::Inadmissible { experiment: experiment.clone(), source })
    }

    /// Adds a run that was checked, with a number above `newest` and those of the queued runs.
    pub(crate) fn enqueue(
        &mut self,
        submission: &Submission,
        newest: RunNumber,
        position: QueuePosition,
        at: Timestamp,
    ) -> &QueuedRun {
        let newest = self.newest_number(&submission.experiment).max(newest);
        let number = RunNumber(newest.0.saturating_add(1));
        let run = QueuedRun::submitted(submission, number, position, at);
        self.runs.entry(run.run.clone()).or_insert(run)
    }

    /// Returns the position behind all queued runs.
    pub(crate) fn next_position(&self) -> QueuePosition {
        let last = self.runs.values().map(|run| run.position.0).max().unwrap_or(0);
        QueuePosition(last.saturating_add(1))
    }

    /// Keeps the number of a run that leaves the queue, so that no later run gets it.
    pub(super) fn keep_number(&mut self, run: &RunId) {
        let kept = self.numbers.entry(run.experiment.clone()).or_insert(run.number);
        *kept = run.number.max(*kept);
    }

    fn newest_number(&self, experiment: &ExperimentId) -> RunNumber {
        self.runs_of(experiment).next_back().map_or(RunNumber(0), |run| run.run.number)
    }
}
