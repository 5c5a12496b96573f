//! Reads a history that need not fit into memory.

use bij_core::port::{AttemptQuery, Ledger as _, LedgerError};
use bij_core::{Attempt, ExperimentId, RunNumber};

use super::Reader;
use crate::read;

/// Attempts in a chunk; they take about a megabyte.
const CHUNK_SIZE: usize = 1000;

/// Iterator over chunks of attempts, oldest first.
#[derive(Debug)]
pub struct AttemptChunks<'a> {
    reader: &'a Reader,
    experiment: Option<ExperimentId>,
    run: Option<RunNumber>,
    /// Row of the last attempt that was read; `None` after the last chunk.
    after: Option<i64>,
}

impl Reader {
    /// Returns all attempts of an experiment or a run, or of all, with one chunk in memory at a time.
    pub const fn attempt_chunks(
        &self,
        experiment: Option<ExperimentId>,
        run: Option<RunNumber>,
    ) -> AttemptChunks<'_> {
        AttemptChunks { reader: self, experiment, run, after: Some(0) }
    }
}

impl Iterator for AttemptChunks<'_> {
    type Item = Result<Vec<Attempt>, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let after = self.after.take()?;
        // Spooled records change attempts anywhere in the history, so all are read at once. The spool is
        // applied within seconds.
        if after == 0 && !self.reader.spool_contents().records.is_empty() {
            let query = AttemptQuery {
                experiment: self.experiment.clone(),
                run: self.run,
                ..AttemptQuery::default()
            };
            return Some(self.reader.attempts(&query));
        }
        let chunk = self.reader.database.query(|connection| {
            read::attempts_after(connection, self.experiment.as_ref(), self.run, after, CHUNK_SIZE)
        });
        match chunk {
            Err(error) => Some(Err(error)),
            Ok(rows) => {
                self.after = rows.last().map(|(row, _)| *row).filter(|_| rows.len() == CHUNK_SIZE);
                let attempts: Vec<Attempt> = rows.into_iter().map(|(_, attempt)| attempt).collect();
                (!attempts.is_empty()).then_some(Ok(attempts))
            }
        }
    }
}
