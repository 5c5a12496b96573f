//! What is set aside, told on top of what the database says.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::{AttemptQuery, Opened, Opening};
use bij_core::queue::Place;
use bij_core::{Attempt, ExperimentId, History};
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
    /// Reads the histories of some experiments, with all of their attempts.
    pub(super) fn read(
        connection: Option<&Connection>,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &Contents,
    ) -> Result<Self, Failure> {
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
        contents: &Contents,
    ) -> Result<Self, Failure> {
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
        contents: &Contents,
        attempts: impl Fn(&Connection, &ExperimentId) -> Result<Vec<Attempt>, Failure>,
    ) -> Result<Self, Failure> {
        let mut histories = Self::of_nothing(experiments);
        if let Some(connection) = connection {
            let Place(last_place) = queue::last_place(connection)?;
            histories.last_place = last_place;
            for experiment in experiments.iter().copied() {
                let tally = read::tally(connection, experiment)?;
                let attempts = attempts(connection, experiment)?;
                let runs = queue::runs(connection, experiment)?;
                let history = History::resume(&tally, attempts, runs);
                histories.of_one.insert(experiment.clone(), history);
            }
        }
        histories.hear(contents);
        Ok(histories)
    }

    /// Begins histories of which no database tells.
    fn of_nothing(experiments: &BTreeSet<&ExperimentId>) -> Self {
        let empty = experiments.iter().map(|id| ((*id).clone(), History::default()));
        Self { of_one: empty.collect(), last_place: 0 }
    }

    /// Makes up histories from the spool alone.
    pub(super) fn from_spool(experiments: &BTreeSet<&ExperimentId>, contents: &Contents) -> Self {
        let mut histories = Self::of_nothing(experiments);
        histories.hear(contents);
        histories
    }

    /// Hears what is set aside of them, in its order.
    fn hear(&mut self, contents: &Contents) {
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
