//! Closes attempts without an end record: the machine lost power, or their `end` hook was killed.

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
    /// Closes the open ones of this experiment's recent attempts; returns whether there were any.
    pub(super) fn close_unclosed(&mut self, recent: &[Attempt], here: AttemptKey) -> bool {
        let open: Vec<_> = recent.iter().filter(|attempt| attempt.end.is_none()).collect();
        if open.iter().any(|attempt| attempt.key.boot != here.boot) {
            let closed = close_other_boots(self.ledger, self.host, here.boot);
            logged(closed, "cannot close the attempts of other boots");
        }
        for attempt in open.iter().filter(|attempt| attempt.key.boot == here.boot) {
            self.close_in_this_boot(attempt);
        }
        !open.is_empty()
    }

    /// Closes an attempt whose `end` hook was killed.
    fn close_in_this_boot(&mut self, attempt: &Attempt) {
        let mut closing = find_end(self.host, self.journal, attempt, Witness::NextStart);
        let facts = logged(self.manager.facts(&closing.experiment), "cannot read NRestarts");
        closing.end.evidence.restarts = facts.map(|facts| facts.restarts);
        let closed = self.ledger.close(&closing);
        if logged(closed, "cannot record the end in the ledger") == Some(Outcome::Changed) {
            log_unclosed(attempt, &closing.end);
        }
    }
}

/// Closes all open attempts of all experiments of boots other than `here`; returns their number.
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

/// Returns what the experiment's own directory shows about the end of an attempt.
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

/// Returns when the experiment last wrote its progress; `None` if that was not during the attempt, because the clock
/// was set.
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
