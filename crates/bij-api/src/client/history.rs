//! Queries of the ledger, page by page.

use std::collections::BTreeMap;

use bij_core::port::AttemptScan;
use bij_core::request::{AttemptsQuery, MinutesQuery, TalliesQuery};
use bij_core::{Attempt, BoardMinute, ExperimentId, RunNumber, Tally};
use serde::de::DeserializeOwned;

use super::{Client, ClientError, unreadable};
use crate::dictionary::Dictionary;

impl Client {
    /// Returns the next page of a scan; an empty page is the end. The coordinator decides the length of a page.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn attempts_after(&self, scan: &AttemptScan) -> Result<Vec<Attempt>, ClientError> {
        self.attempts_page(&AttemptsQuery::next(scan)).await
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
        Ok(self.attempts_page(&query).await?.pop())
    }

    async fn attempts_page(&self, query: &AttemptsQuery) -> Result<Vec<Attempt>, ClientError> {
        parsed(&self.ask(self.proxy.attempts_text(Dictionary::from_message(query))).await?)
    }

    /// Returns the tally of one experiment.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn tally(&self, experiment: &ExperimentId) -> Result<Tally, ClientError> {
        let query = TalliesQuery { experiment: Some(experiment.clone()), after: None };
        Ok(self.tallies_page(&query).await?.remove(experiment).unwrap_or_default())
    }

    /// Returns the tallies of all experiments that have any attempts.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, ClientError> {
        let mut tallies = BTreeMap::new();
        loop {
            let after = tallies.last_key_value().map(|(id, _): (&ExperimentId, _)| id.clone());
            let query = TalliesQuery { experiment: None, after };
            let piece = self.tallies_page(&query).await?;
            let before = tallies.len();
            tallies.extend(piece);
            // A coordinator that repeats a page would cause an endless loop.
            if tallies.len() == before {
                return Ok(tallies);
            }
        }
    }

    async fn tallies_page(
        &self,
        query: &TalliesQuery,
    ) -> Result<BTreeMap<ExperimentId, Tally>, ClientError> {
        parsed(&self.ask(self.proxy.tallies_text(Dictionary::from_message(query))).await?)
    }

    /// Returns up to `newest` of the newest minutes of the board, oldest first.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer.
    pub async fn board_minutes(&self, newest: usize) -> Result<Vec<BoardMinute>, ClientError> {
        let mut pieces: Vec<Vec<BoardMinute>> = Vec::new();
        let (mut count, mut before) = (0, None);
        while count < newest {
            let query = MinutesQuery { newest: Some(number(newest - count)), before };
            let asked = self.proxy.minutes_text(Dictionary::from_message(&query));
            let (text, first) = self.ask(asked).await?;
            let piece: Vec<BoardMinute> = parsed(&text)?;
            // A coordinator that repeats a page would cause an endless loop.
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
