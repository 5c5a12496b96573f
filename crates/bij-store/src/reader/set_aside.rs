//! Attempts as they will be when the spool is taken in.

use std::collections::{BTreeSet, HashMap, HashSet};

use bij_core::port::{AttemptQuery, AttemptScan};
use bij_core::{Attempt, AttemptKey, ExperimentId};
use rusqlite::Connection;

use super::histories::Histories;
use crate::database_error::DatabaseError;
use crate::read;
use crate::spool::SpoolContents;

/// What the spool changes in the attempts of a database.
#[derive(Default)]
pub(super) struct SetAside {
    /// Attempts that the database has, as the spool says that they are now.
    known: HashMap<AttemptKey, Attempt>,
    /// Attempts that only the spool has, in their order. They come after all others.
    new: Vec<Attempt>,
}

impl SetAside {
    /// Reads what the spool says of an experiment, or of all.
    pub(super) fn read(
        connection: Option<&Connection>,
        contents: &SpoolContents,
        experiment: Option<&ExperimentId>,
    ) -> Result<Self, DatabaseError> {
        let mut set_aside = Self::default();
        if contents.records.is_empty() {
            return Ok(set_aside);
        }
        let is_asked = |id: &&ExperimentId| experiment.is_none_or(|asked| asked == *id);
        let experiments: BTreeSet<_> = contents.experiments().filter(is_asked).collect();
        let histories = Histories::read_newest(connection, &experiments, contents)?;
        let mut seen = HashSet::new();
        for kept in &contents.records {
            let (key, experiment) = (kept.record.key(), kept.record.experiment());
            let history = histories.by_experiment.get(experiment);
            let Some(attempt) = history.and_then(|history| history.attempt(key)) else { continue };
            if seen.insert(key) {
                match owner(connection, key)? {
                    Some((_, owner)) if owner == *experiment => {
                        set_aside.known.insert(key, attempt.clone());
                    }
                    // The database will refuse the record.
                    Some(_) => {}
                    None => set_aside.new.push(attempt.clone()),
                }
            }
        }
        Ok(set_aside)
    }

    /// Answers a query.
    pub(super) fn attempts(
        mut self,
        connection: Option<&Connection>,
        query: &AttemptQuery,
    ) -> Result<Vec<Attempt>, DatabaseError> {
        let AttemptQuery { experiment, run, newest, skip_newest, open } = query;
        let of = AttemptQuery {
            experiment: experiment.clone(),
            run: *run,
            newest: None,
            skip_newest: 0,
            open: *open,
        };
        let new = of.choose(std::mem::take(&mut self.new));
        if *open {
            // They are few, and the spool may say that they have ended.
            let mut attempts = self.stored(connection, &of)?;
            attempts.extend(new);
            return Ok(query.choose(attempts));
        }
        let end = new.len().saturating_sub(*skip_newest);
        let begin = newest.map_or(0, |newest| end.saturating_sub(newest));
        let before = AttemptQuery {
            newest: newest.map(|newest| newest - (end - begin)),
            skip_newest: skip_newest.saturating_sub(new.len()),
            ..of
        };
        let mut attempts = self.stored(connection, &before)?;
        attempts.extend(new.into_iter().take(end).skip(begin));
        Ok(attempts)
    }

    /// Reads the next piece of a scan; the error is the attempt after which it begins, if that is not known.
    pub(super) fn piece(
        mut self,
        connection: Option<&Connection>,
        scan: &AttemptScan,
        at_most: usize,
    ) -> Result<Result<Vec<Attempt>, AttemptKey>, DatabaseError> {
        let new = std::mem::take(&mut self.new);
        let mut new = new.into_iter().filter(|attempt| scan.includes(attempt));
        let row = match scan.after {
            None => Some(0),
            Some(key) => match owner(connection, key)? {
                Some((row, _)) => Some(row),
                // The database had all before it.
                None if new.any(|attempt| attempt.key == key) => None,
                None => return Ok(Err(key)),
            },
        };
        let mut attempts = match connection.zip(row) {
            Some((connection, row)) => {
                self.update(read::attempts_after(connection, scan, row, at_most)?)
            }
            None => Vec::new(),
        };
        attempts.extend(new.take(at_most - attempts.len()));
        Ok(Ok(attempts))
    }

    /// Reads attempts that the database has.
    fn stored(
        &mut self,
        connection: Option<&Connection>,
        query: &AttemptQuery,
    ) -> Result<Vec<Attempt>, DatabaseError> {
        let stored = connection.map(|connection| read::attempts(connection, query));
        Ok(self.update(stored.transpose()?.unwrap_or_default()))
    }

    /// Puts in what the spool says of attempts that the database has.
    fn update(&mut self, mut attempts: Vec<Attempt>) -> Vec<Attempt> {
        for attempt in &mut attempts {
            if let Some(now) = self.known.remove(&attempt.key) {
                *attempt = now;
            }
        }
        attempts
    }
}

/// Returns the row and the experiment of an attempt that the database has.
fn owner(
    connection: Option<&Connection>,
    key: AttemptKey,
) -> Result<Option<(i64, ExperimentId)>, DatabaseError> {
    let known = connection.map(|connection| read::owner(connection, key));
    Ok(known.transpose()?.flatten())
}
