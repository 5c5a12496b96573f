//! Histories from the database with the spool on top.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::{AttemptQuery, Opened, Opening};
use bij_core::queue::QueuePosition;
use bij_core::{Attempt, ExperimentId, History};
use rusqlite::Connection;

use crate::database_error::DatabaseError;
use crate::spool::{SpoolContents, SpoolRecord};
use crate::{queue, read};

/// The histories of some experiments.
#[derive(Debug, Default)]
pub(super) struct Histories {
    pub(super) by_experiment: BTreeMap<ExperimentId, History>,
    /// The last queue position in use.
    last_position: i64,
}

impl Histories {
    /// Reads the histories of some experiments, with all of their attempts.
    pub(super) fn read(
        connection: Option<&Connection>,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &SpoolContents,
    ) -> Result<Self, DatabaseError> {
        Self::read_with(connection, experiments, contents, |connection, experiment| {
            let query = AttemptQuery { experiment: Some(experiment.clone()), ..Default::default() };
            read::attempts(connection, &query)
        })
    }

    /// Reads the histories of some experiments, with no more of their attempts than the spool changes or
    /// builds upon.
    pub(super) fn read_newest(
        connection: Option<&Connection>,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &SpoolContents,
    ) -> Result<Self, DatabaseError> {
        Self::read_with(connection, experiments, contents, |connection, experiment| {
            let mut oldest = i64::MAX;
            for record in contents.records.iter().map(|kept| &kept.record) {
                if record.experiment() == experiment {
                    let known = read::owner(connection, record.key())?;
                    oldest = known.map_or(oldest, |(row, _)| oldest.min(row));
                }
            }
            read::newest_attempts(connection, experiment, oldest)
        })
    }

    fn read_with(
        connection: Option<&Connection>,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &SpoolContents,
        attempts: impl Fn(&Connection, &ExperimentId) -> Result<Vec<Attempt>, DatabaseError>,
    ) -> Result<Self, DatabaseError> {
        let mut histories = Self::empty(experiments);
        if let Some(connection) = connection {
            let QueuePosition(last_position) = queue::last_position(connection)?;
            histories.last_position = last_position;
            for experiment in experiments.iter().copied() {
                let tally = read::tally(connection, experiment)?;
                let attempts = attempts(connection, experiment)?;
                let runs = queue::runs(connection, experiment)?;
                let history = History::resume(&tally, attempts, runs);
                histories.by_experiment.insert(experiment.clone(), history);
            }
        }
        histories.apply(contents);
        Ok(histories)
    }

    /// Returns histories without attempts.
    fn empty(experiments: &BTreeSet<&ExperimentId>) -> Self {
        let empty = experiments.iter().map(|id| ((*id).clone(), History::default()));
        Self { by_experiment: empty.collect(), last_position: 0 }
    }

    /// Returns the histories that the spool alone makes.
    pub(super) fn from_spool(
        experiments: &BTreeSet<&ExperimentId>,
        contents: &SpoolContents,
    ) -> Self {
        let mut histories = Self::empty(experiments);
        histories.apply(contents);
        histories
    }

    /// Applies the spooled records of these experiments, in order.
    fn apply(&mut self, contents: &SpoolContents) {
        for entry in &contents.records {
            self.update(entry.record.experiment(), |history, position| match &entry.record {
                SpoolRecord::Open(opening) => drop(history.open(opening, position)),
                SpoolRecord::Close(closing) => {
                    history.close(closing, position);
                }
            });
        }
    }

    /// Opens an attempt.
    pub(super) fn open(&mut self, opening: &Opening) -> Opened {
        self.by_experiment.entry(opening.experiment.clone()).or_default();
        self.update(&opening.experiment, |history, position| history.open(opening, position))
            .expect("the history was inserted above")
    }

    /// Returns the history of an experiment that was added.
    pub(super) fn get(&self, experiment: &ExperimentId) -> &History {
        self.by_experiment.get(experiment).expect("callers add an experiment before they get it")
    }

    /// Changes the history of an experiment; a run that this adds takes the next queue position. `None` if
    /// the experiment was not added.
    fn update<T>(
        &mut self,
        experiment: &ExperimentId,
        change: impl FnOnce(&mut History, QueuePosition) -> T,
    ) -> Option<T> {
        let history = self.by_experiment.get_mut(experiment)?;
        let highest = history.highest();
        let result = change(history, QueuePosition(self.last_position + 1));
        if history.highest() != highest {
            self.last_position += 1;
        }
        Some(result)
    }
}
