//! What the ledger has, asked for in pieces.

use std::collections::BTreeMap;

use bij_core::port::AttemptScan;
use bij_core::{Attempt, BoardMinute, ExperimentId, RunNumber, Tally};
use serde::de::DeserializeOwned;

use super::{Client, ClientError, unreadable};
use crate::dictionary::Dictionary;
use crate::message::{AttemptsQuery, MinutesQuery, TalliesQuery};

impl Client {
    /// Reads the next piece of a scan; an empty piece is the end. The coordinator decides how many attempts a
    /// piece has.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn attempts_after(&self, scan: &AttemptScan) -> Result<Vec<Attempt>, ClientError> {
        self.piece_of_attempts(&AttemptsQuery::next(scan)).await
    }

    /// Returns the newest attempt of an experiment's run, of an experiment or of all, without the
    /// `skip_newest` newest ones.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn newest_attempt(
        &self,
        experiment: Option<&ExperimentId>,
        run: Option<RunNumber>,
        skip_newest: usize,
    ) -> Result<Option<Attempt>, ClientError> {
        let query = AttemptsQuery {
            experiment: experiment.cloned(),
            run,
            after: None,
            newest: Some(1),
            skip_newest: number(skip_newest),
        };
        Ok(self.piece_of_attempts(&query).await?.pop())
    }

    async fn piece_of_attempts(&self, query: &AttemptsQuery) -> Result<Vec<Attempt>, ClientError> {
        parsed(&self.ask(self.proxy.attempts_text(Dictionary::of(query))).await?)
    }

    /// What one experiment's history adds up to.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn tally(&self, experiment: &ExperimentId) -> Result<Tally, ClientError> {
        let query = TalliesQuery { experiment: Some(experiment.clone()), after: None };
        Ok(self.piece_of_tallies(&query).await?.remove(experiment).unwrap_or_default())
    }

    /// What the history of every experiment that has one adds up to.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, ClientError> {
        let mut tallies = BTreeMap::new();
        loop {
            let after = tallies.last_key_value().map(|(id, _): (&ExperimentId, _)| id.clone());
            let query = TalliesQuery { experiment: None, after };
            let piece = self.piece_of_tallies(&query).await?;
            let before = tallies.len();
            tallies.extend(piece);
            // One that does not go on would be asked for ever.
            if tallies.len() == before {
                return Ok(tallies);
            }
        }
    }

    async fn piece_of_tallies(
        &self,
        query: &TalliesQuery,
    ) -> Result<BTreeMap<ExperimentId, Tally>, ClientError> {
        parsed(&self.ask(self.proxy.tallies_text(Dictionary::of(query))).await?)
    }

    /// The newest minutes of the board, at most so many, oldest first.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn board_minutes(&self, newest: usize) -> Result<Vec<BoardMinute>, ClientError> {
        let mut pieces: Vec<Vec<BoardMinute>> = Vec::new();
        let (mut count, mut before) = (0, None);
        while count < newest {
            let query = MinutesQuery { newest: Some(number(newest - count)), before };
            let asked = self.proxy.minutes_text(Dictionary::of(&query));
            let (text, first) = self.ask(asked).await?;
            let piece: Vec<BoardMinute> = parsed(&text)?;
            // A piece that does not go on would be asked for ever.
            if piece.is_empty() || before.is_some_and(|before| first >= before) {
                break;
            }
            before = Some(first);
            count += piece.len();
            pieces.push(piece);
        }
        Ok(pieces.into_iter().rev().flatten().collect())
    }
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, ClientError> {
    serde_json::from_str(text).map_err(unreadable)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
