//! A history that need not fit into memory.

use bij_core::port::{AttemptQuery, Ledger as _, LedgerError};
use bij_core::{Attempt, ExperimentId, RunNumber};

use super::Reader;
use crate::read;

/// How many attempts are in a piece: they take about a megabyte.
const PIECE: usize = 1000;

/// Attempts, oldest first, a piece at a time.
#[derive(Debug)]
pub struct Pieces<'a> {
    reader: &'a Reader,
    experiment: Option<ExperimentId>,
    run: Option<RunNumber>,
    /// The row of the last attempt that was read; `None` once all were.
    after: Option<i64>,
}

impl Reader {
    /// Reads all attempts of an experiment, or of all, without having more than a piece of them in memory.
    pub const fn pieces(
        &self,
        experiment: Option<ExperimentId>,
        run: Option<RunNumber>,
    ) -> Pieces<'_> {
        Pieces { reader: self, experiment, run, after: Some(0) }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Vec<Attempt>, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let after = self.after.take()?;
        // What is set aside changes attempts anywhere in the history. It is taken in within seconds.
        if after == 0 && !self.reader.set_aside().records.is_empty() {
            let query = AttemptQuery {
                experiment: self.experiment.clone(),
                run: self.run,
                ..AttemptQuery::default()
            };
            return Some(self.reader.attempts(&query));
        }
        let piece = self.reader.database.ask(|connection| {
            read::attempts_after(connection, self.experiment.as_ref(), self.run, after, PIECE)
        });
        match piece {
            Err(error) => Some(Err(error)),
            Ok(rows) => {
                self.after = rows.last().map(|(row, _)| *row).filter(|_| rows.len() == PIECE);
                let attempts: Vec<Attempt> = rows.into_iter().map(|(_, attempt)| attempt).collect();
                (!attempts.is_empty()).then_some(Ok(attempts))
            }
        }
    }
}
