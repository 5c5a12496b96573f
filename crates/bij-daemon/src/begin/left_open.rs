//! Attempts that nobody closed: the machine went away under them, or their `end` was killed.

use std::fs;

use bij_core::port::{Closing, DefinitionSource, Ledger, LedgerError};
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, BootId, Evidence, Exit, ExperimentId, LastWords, Outcome,
    TimeSpan, Timestamp, Witness,
};

use super::{Begin, logged};
use crate::order_file::read_order;
use crate::progress_file::read_progress;
use crate::record::Record;
use crate::{Journal, LoggedEnd, Manager, Place, sentence};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Closes whatever of this experiment's recent attempts is open; returns whether anything was.
    pub(super) fn close_left_open(&mut self, recent: &[Attempt], here: AttemptKey) -> bool {
        let open: Vec<_> = recent.iter().filter(|attempt| attempt.end.is_none()).collect();
        if open.iter().any(|attempt| attempt.key.boot != here.boot) {
            let closed = close_other_boots(self.ledger, self.place, here.boot);
            logged(closed, "what other boots left open is still open");
        }
        for attempt in open.iter().filter(|attempt| attempt.key.boot == here.boot) {
            self.close_in_this_boot(attempt);
        }
        !open.is_empty()
    }

    fn close_in_this_boot(&mut self, attempt: &Attempt) {
        let LoggedEnd { at, ready, evidence } = self.end_in_this_boot(attempt);
        let end = AttemptEnd { at, cause: evidence.prove(), evidence };
        let closing = Closing {
            experiment: attempt.run.experiment.clone(),
            key: attempt.key,
            ready: ready.or(attempt.ready),
            end: end.clone(),
            started: attempt.started,
        };
        let closed = self.ledger.close(&closing);
        if logged(closed, "the ledger did not take the attempt's end") == Some(Outcome::Changed) {
            log_late(&Attempt { end: Some(end), ..attempt.clone() });
        }
    }

    /// Its `end` was killed: the journal is asked, and only then is the cause unknown.
    fn end_in_this_boot(&self, attempt: &Attempt) -> LoggedEnd {
        let id = &attempt.run.experiment;
        let found = self.journal.end_of(attempt.key.invocation);
        let mut end = logged(found, "how it ended is not known").flatten().unwrap_or_else(|| {
            let mut evidence = Evidence::default();
            evidence.witness = Some(Witness::NextStart);
            evidence.notes.push("no witness says how it ended".to_owned());
            LoggedEnd { at: self.place.now(), ready: None, evidence }
        });
        let evidence = &mut end.evidence;
        evidence.notes.push("its `end` hook did not finish; the next start closed it".to_owned());
        // Who asked for it by name is known better than the journal tells.
        if let Some(order) = read_order(self.place.layout(), id) {
            evidence.order = Some(order);
        }
        self.hear_kernel(attempt, evidence);
        evidence.progress = read_progress(&self.place.layout().progress(id));
        let facts = logged(self.manager.facts(id), "NRestarts is not known");
        evidence.restarts = facts.map(|facts| facts.restarts);
        end
    }

    /// The counters are gone with the control group; on cgroup v1 only the kernel's log still tells
    /// a kill for memory from any other SIGKILL.
    fn hear_kernel(&self, attempt: &Attempt, evidence: &mut Evidence) {
        let killed = evidence.exit.is_none_or(|exit| exit == Exit::Signal(9));
        let record = Record::read(self.place.layout(), &attempt.run.experiment);
        let since = record
            .filter(|record| record.key == attempt.key)
            .and_then(|record| record.started_since_boot);
        let Some(since) = since.filter(|_| killed) else { return };
        // The clock of the kernel's log is a little off the one that was read.
        let since = TimeSpan::from_micros(since.as_micros().saturating_sub(CLOCKS_DIFFER));
        let line = self.journal.oom_line(&attempt.run.experiment, Some(since));
        if line.is_some() {
            evidence.oom_kills.get_or_insert(1);
            evidence.kernel_line = line;
        }
    }
}

/// A second, in microseconds.
const CLOCKS_DIFFER: u64 = 1_000_000;

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
