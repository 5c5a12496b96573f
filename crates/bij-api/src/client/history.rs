//! What the ledger has, asked for in pieces.

use std::collections::{BTreeMap, HashSet};

use bij_core::port::AttemptQuery;
use bij_core::{Attempt, BoardMinute, ExperimentId, Tally};
use serde::de::DeserializeOwned;

use super::{Client, ClientError, unreadable};
use crate::dictionary::Dictionary;
use crate::message::{AttemptsQuery, MinutesQuery, TalliesQuery};

impl Client {
    /// Attempts, oldest first, as a ledger reads them.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, ClientError> {
        let AttemptQuery { experiment, run, newest, skip_newest, open } = query;
        let wanted = if *open { usize::MAX } else { newest.unwrap_or(usize::MAX) };
        let mut pieces: Vec<Vec<Attempt>> = Vec::new();
        let (mut count, mut seen) = (0, HashSet::new());
        while count < wanted {
            let query = AttemptsQuery {
                experiment: experiment.clone(),
                run: *run,
                newest: Some(number(wanted - count)),
                skip_newest: number(skip_newest.saturating_add(count)),
            };
            let asked = self.ask(self.proxy.attempts_text(Dictionary::of(&query))).await?;
            let mut piece: Vec<Attempt> = parsed(&asked)?;
            if piece.is_empty() {
                break;
            }
            count += piece.len();
            // One that has begun meanwhile moves all others by one.
            piece.retain(|attempt| seen.insert(attempt.key));
            pieces.push(piece);
        }
        let mut attempts: Vec<Attempt> = pieces.into_iter().rev().flatten().collect();
        if *open {
            attempts.retain(|attempt| attempt.end.is_none());
            let too_many = newest.map_or(0, |newest| attempts.len().saturating_sub(newest));
            attempts.drain(..too_many);
        }
        Ok(attempts)
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
        let mut count = 0;
        while count < newest {
            let query =
                MinutesQuery { newest: Some(number(newest - count)), skip_newest: number(count) };
            let asked = self.ask(self.proxy.minutes_text(Dictionary::of(&query))).await?;
            let piece: Vec<BoardMinute> = parsed(&asked)?;
            if piece.is_empty() {
                break;
            }
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
