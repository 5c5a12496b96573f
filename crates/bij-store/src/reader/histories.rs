//! Histories from the database with the spool on top.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, Opened, Opening};
use bij_core::queue::Place;
use bij_core::{ExperimentId, History};
use rusqlite::Connection;

use crate::database_error::DatabaseError;
use crate::spool::{SpoolContents, SpoolRecord};
use crate::{queue, read};

/// The histories of some experiments.
#[derive(Debug, Default)]
pub(super) struct Histories {
    pub(super) by_experiment: BTreeMap<ExperimentId, History>,
    /// The last queue position in use.
    last_place: i64,
}

impl Histories {
    /// Reads the last queue position; no experiment yet.
    pub(super) fn read(connection: &Connection) -> Result<Self, DatabaseError> {
        let Place(last_place) = queue::last_place(connection)?;
        Ok(Self { last_place, ..Self::default() })
    }

    /// Adds the history of an experiment.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        experiment: &ExperimentId,
    ) -> Result<(), DatabaseError> {
        let query = AttemptQuery { experiment: Some(experiment.clone()), ..Default::default() };
        let tally = read::tally(connection, experiment)?;
        let attempts = read::attempts(connection, &query)?;
        let runs = queue::runs(connection, experiment)?;
        self.by_experiment.insert(experiment.clone(), History::resume(&tally, attempts, runs));
        Ok(())
    }

    /// Applies the spooled records of these experiments, in order.
    pub(super) fn apply(&mut self, contents: &SpoolContents) {
        for entry in &contents.records {
            self.update(entry.record.experiment(), |history, place| match &entry.record {
                SpoolRecord::Open(opening) => drop(history.open(opening, place)),
                SpoolRecord::Close(closing) => {
                    history.close(closing, place);
                }
            });
        }
    }

    /// Opens an attempt.
    pub(super) fn open(&mut self, opening: &Opening) -> Opened {
        self.by_experiment.entry(opening.experiment.clone()).or_default();
        self.update(&opening.experiment, |history, place| history.open(opening, place))
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
        change: impl FnOnce(&mut History, Place) -> T,
    ) -> Option<T> {
        let history = self.by_experiment.get_mut(experiment)?;
        let highest = history.highest();
        let result = change(history, Place(self.last_place + 1));
        if history.highest() != highest {
            self.last_place += 1;
        }
        Some(result)
    }
}
