//! What is set aside, told on top of what the database says.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, Opened, Opening};
use bij_core::queue::Place;
use bij_core::{ExperimentId, History};
use rusqlite::Connection;

use crate::failure::Failure;
use crate::spool::{Contents, Record};
use crate::{queue, read};

/// The histories of some experiments.
#[derive(Debug, Default)]
pub(super) struct Histories {
    /// Each by its experiment.
    pub(super) of_one: BTreeMap<ExperimentId, History>,
    /// The last place that was given away.
    last_place: i64,
}

impl Histories {
    /// Of none yet.
    pub(super) fn read(connection: &Connection) -> Result<Self, Failure> {
        let Place(last_place) = queue::last_place(connection)?;
        Ok(Self { last_place, ..Self::default() })
    }

    /// Reads one more.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        experiment: &ExperimentId,
    ) -> Result<(), Failure> {
        let query = AttemptQuery { experiment: Some(experiment.clone()), ..Default::default() };
        let tally = read::tally(connection, experiment)?;
        let attempts = read::attempts(connection, &query)?;
        let runs = queue::runs(connection, experiment)?;
        self.of_one.insert(experiment.clone(), History::resume(&tally, attempts, runs));
        Ok(())
    }

    /// Hears what is set aside of them, in its order.
    pub(super) fn hear(&mut self, contents: &Contents) {
        for kept in &contents.records {
            self.tell(kept.record.experiment(), |history, place| match &kept.record {
                Record::Open(opening) => drop(history.open(opening, place)),
                Record::Close(closing) => {
                    history.close(closing, place);
                }
            });
        }
    }

    /// Opens an attempt.
    pub(super) fn open(&mut self, opening: &Opening) -> Opened {
        self.of_one.entry(opening.experiment.clone()).or_default();
        self.tell(&opening.experiment, |history, place| history.open(opening, place))
            .expect("the history has just been put there")
    }

    /// One of them.
    pub(super) fn of(&self, experiment: &ExperimentId) -> &History {
        self.of_one.get(experiment).expect("whoever asks for a history has had it read")
    }

    fn tell<T>(
        &mut self,
        experiment: &ExperimentId,
        news: impl FnOnce(&mut History, Place) -> T,
    ) -> Option<T> {
        let history = self.of_one.get_mut(experiment)?;
        let highest = history.highest();
        let answer = news(history, Place(self.last_place + 1));
        if history.highest() != highest {
            self.last_place += 1;
        }
        Some(answer)
    }
}
