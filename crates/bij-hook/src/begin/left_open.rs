//! Attempts that nobody closed: the machine went away under them, or their `end` was killed.

use std::fs;

use bij_core::port::{DefinitionSource, Ledger, LedgerError};
use bij_core::{
    Attempt, AttemptKey, BootId, ExperimentId, Outcome, RecoveredEnd, Timestamp, Witness,
};
use bij_host::{HostContext, logged, read_progress};

use super::Begin;
use crate::unclosed::{find_end, log_unclosed};
use crate::{Journal, Manager};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Closes whatever of this experiment's recent attempts is open; returns whether anything was.
    pub(super) fn close_left_open(&mut self, recent: &[Attempt], here: AttemptKey) -> bool {
        let open: Vec<_> = recent.iter().filter(|attempt| attempt.end.is_none()).collect();
        if open.iter().any(|attempt| attempt.key.boot != here.boot) {
            let closed = close_other_boots(self.ledger, self.host, here.boot);
            logged(closed, "what other boots left open is still open");
        }
        for attempt in open.iter().filter(|attempt| attempt.key.boot == here.boot) {
            self.close_in_this_boot(attempt);
        }
        !open.is_empty()
    }

    /// Its `end` was killed.
    fn close_in_this_boot(&mut self, attempt: &Attempt) {
        let mut closing = find_end(self.host, self.journal, attempt, Witness::NextStart);
        let facts = logged(self.manager.facts(&closing.experiment), "NRestarts is not known");
        closing.end.evidence.restarts = facts.map(|facts| facts.restarts);
        let closed = self.ledger.close(&closing);
        if logged(closed, "the ledger did not take the attempt's end") == Some(Outcome::Changed) {
            log_unclosed(attempt, &closing.end);
        }
    }
}

/// Closes every attempt of every experiment that a boot other than `here` left open; returns how
/// many that were.
///
/// # Errors
/// As [`bij_core::close_other_boots`].
pub(crate) fn close_other_boots(
    ledger: &mut impl Ledger,
    host: &HostContext,
    here: BootId,
) -> Result<usize, LedgerError> {
    let now = host.now();
    let last_words = |attempt: &Attempt| last_words(host, attempt, now);
    let closed = bij_core::close_other_boots(ledger, here, now, last_words)?;
    for attempt in &closed {
        attempt.end.iter().for_each(|end| log_unclosed(attempt, end));
    }
    Ok(closed.len())
}

/// What the experiment left in its own directory.
fn last_words(host: &HostContext, attempt: &Attempt, now: Timestamp) -> RecoveredEnd {
    let id = &attempt.run.experiment;
    let ended = last_sign_of_life(host, id, attempt.started, now);
    let note = ended.map(|_| "its last progress was written then; it may have lived on".to_owned());
    RecoveredEnd {
        ended,
        progress: read_progress(&host.layout().progress(id)),
        notes: note.into_iter().collect(),
    }
}

/// When the experiment last wrote its progress, if the clock makes sense of it.
fn last_sign_of_life(
    host: &HostContext,
    id: &ExperimentId,
    started: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let metadata = fs::symlink_metadata(host.layout().progress(id)).ok()?;
    let written = Timestamp::from(metadata.modified().ok()?);
    (metadata.is_file() && started <= written && written <= now).then_some(written)
}
