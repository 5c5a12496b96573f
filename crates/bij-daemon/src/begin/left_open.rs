//! Attempts that nobody closed: the machine went away under them, or their `end` was killed.

use std::fs;

use bij_core::port::{AttemptQuery, Closing, DefinitionSource, Ledger, LedgerError};
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, BootId, Evidence, ExperimentId, LastWords, Outcome, Timestamp,
    Witness,
};

use super::{Begin, logged};
use crate::progress_file::read_progress;
use crate::{Journal, Manager, Place, sentence};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Closes whatever is open for this experiment but the attempt that begins.
    pub(super) fn close_left_open(&self, ledger: &mut L, id: &ExperimentId, here: AttemptKey) {
        let query =
            AttemptQuery { experiment: Some(id.clone()), open: true, ..AttemptQuery::default() };
        let open = logged(ledger.attempts(&query), "the ledger cannot be read");
        let mut left: Vec<_> = open.into_iter().flatten().collect();
        left.retain(|attempt| attempt.key != here);
        if left.iter().any(|attempt| attempt.key.boot != here.boot) {
            let closed = close_other_boots(ledger, self.place, here.boot);
            logged(closed, "what other boots left open is still open");
        }
        for attempt in left.iter().filter(|attempt| attempt.key.boot == here.boot) {
            self.close_in_this_boot(ledger, attempt);
        }
    }

    fn close_in_this_boot(&self, ledger: &mut L, attempt: &Attempt) {
        let end = self.end_in_this_boot(attempt);
        let closing = Closing {
            experiment: attempt.run.experiment.clone(),
            key: attempt.key,
            ready: attempt.ready,
            end: end.clone(),
            started: attempt.started,
        };
        let closed = ledger.close(&closing);
        if logged(closed, "the ledger did not take the attempt's end") == Some(Outcome::Changed) {
            log_late(&Attempt { end: Some(end), ..attempt.clone() });
        }
    }

    /// Its `end` was killed: the journal is asked, and only then is the cause unknown.
    fn end_in_this_boot(&self, attempt: &Attempt) -> AttemptEnd {
        let id = &attempt.run.experiment;
        let found = logged(self.journal.end_of(id, attempt.key), "the journal cannot be read");
        let (at, mut evidence) = found.flatten().unwrap_or_else(|| {
            let mut evidence = Evidence::default();
            evidence.witness = Some(Witness::NextStart);
            evidence.notes.push("no witness says how it ended".to_owned());
            (self.place.now(), evidence)
        });
        evidence.notes.push("its `end` hook did not finish; the next start closed it".to_owned());
        evidence.progress = read_progress(&self.place.layout().progress(id));
        evidence.restarts =
            logged(self.manager.facts(id), "NRestarts is not known").and_then(|f| f.restarts);
        AttemptEnd { at, cause: evidence.prove(), evidence }
    }
}

/// Closes every attempt of every experiment that a boot other than `here` left open; returns how
/// many that were.
///
/// # Errors
/// As [`bij_core::close_other_boots`].
pub(crate) fn close_other_boots(
    ledger: &mut impl Ledger,
    place: &Place,
    here: BootId,
) -> Result<usize, LedgerError> {
    let now = place.now();
    let last_words = |attempt: &Attempt| last_words(place, attempt, now);
    let closed = bij_core::close_other_boots(ledger, here, now, last_words)?;
    closed.iter().for_each(log_late);
    Ok(closed.len())
}

/// What the experiment left in its own directory.
fn last_words(place: &Place, attempt: &Attempt, now: Timestamp) -> LastWords {
    let id = &attempt.run.experiment;
    let ended = last_sign_of_life(place, id, attempt.started, now);
    let note = ended.map(|_| "its last progress was written then; it may have lived on".to_owned());
    LastWords {
        ended,
        progress: read_progress(&place.layout().progress(id)),
        notes: note.into_iter().collect(),
    }
}

/// When the experiment last wrote its progress, if the clock makes sense of it.
fn last_sign_of_life(
    place: &Place,
    id: &ExperimentId,
    started: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let metadata = fs::symlink_metadata(place.layout().progress(id)).ok()?;
    let written = Timestamp::from(metadata.modified().ok()?);
    (metadata.is_file() && started <= written && written <= now).then_some(written)
}

fn log_late(attempt: &Attempt) {
    let Some(end) = &attempt.end else { return };
    log::info!(
        BIJ_EXPERIMENT:% = attempt.run.experiment, BIJ_RUN:% = attempt.run,
        BIJ_ATTEMPT:% = attempt.number, BIJ_CAUSE:% = end.cause, BIJ_EVENT = "attempt-closed-late";
        "{}", sentence(&attempt.run, attempt.number, end, attempt.started)
    );
}
