//! A history that need not fit into memory.

use bij_core::port::{AttemptScan, LedgerError};
use bij_core::{Attempt, ExperimentId, RunNumber};

use super::Reader;

/// How many attempts are in a piece: they take about a megabyte.
const PIECE: usize = 1000;

/// Attempts, oldest first, a piece at a time.
#[derive(Debug)]
pub struct Pieces<'a> {
    reader: &'a Reader,
    /// The next piece; `None` behind the last one.
    scan: Option<AttemptScan>,
}

impl Reader {
    /// Reads all attempts of an experiment, or of all, without having more than a piece of them in memory.
    pub const fn pieces(
        &self,
        experiment: Option<ExperimentId>,
        run: Option<RunNumber>,
    ) -> Pieces<'_> {
        Pieces { reader: self, scan: Some(AttemptScan { experiment, run, after: None }) }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Vec<Attempt>, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let scan = self.scan.take()?;
        match self.reader.attempts_after(&scan, PIECE) {
            Ok(attempts) => {
                let after = Some(attempts.last()?.key);
                self.scan = Some(AttemptScan { after, ..scan });
                Some(Ok(attempts))
            }
            Err(error) => Some(Err(error)),
        }
    }
}
