//! Attempts without an end record: the machine lost power, or their `end` hook was killed.
//!
//! The next start, the coordinator or the next boot closes them. `bij-hook boot` and `bij-hook shutdown` distinguish
//! power cuts from shutdowns.

use std::fs;

use bij_core::port::{Closing, DefinitionSource, Ledger, LedgerError};
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, BootId, Evidence, Exit, ExperimentId, Outcome, RecoveredEnd,
    TimeSpan, Timestamp, Witness,
};
use bij_host::{HostContext, HostContextError, logged, read_progress};
use bij_systemd::JournalEnd;
use thiserror::Error;

use crate::attempt_record::{AttemptRecord, read_order};
use crate::{HookContext, HookJournal, HookManager, describe_end};

/// Difference between the clock of the kernel's log and `CLOCK_MONOTONIC`.
const CLOCKS_DIFFER: TimeSpan = TimeSpan::from_secs(1);

/// Recovers the end of an attempt from the journal; its cause is unknown if the journal has no record of it. The unit
/// of the attempt must be inactive, or in a later invocation. `found_by` names the caller in the evidence.
pub fn find_end(
    host: &HostContext,
    journal: &impl HookJournal,
    attempt: &Attempt,
    found_by: Witness,
) -> Closing {
    let id = &attempt.run.experiment;
    let found = journal.end_of(attempt.key.invocation);
    let end = logged(found, "cannot read how the attempt ended").flatten();
    let JournalEnd { at, ready, mut evidence } = end.unwrap_or_else(|| {
        let mut evidence = Evidence::default();
        evidence.witness = Some(found_by);
        evidence.notes.push("no witness says how it ended".to_owned());
        JournalEnd { at: host.now(), ready: None, evidence }
    });
    let finder =
        if found_by == Witness::Coordinator { "the coordinator" } else { "the next start" };
    evidence.notes.push(format!("its `end` hook did not finish; {finder} closed it"));
    // An order names its author, which the journal does not.
    if let Some(order) = read_order(host.layout(), id) {
        evidence.order = Some(order);
    }
    read_kernel_evidence(host, journal, attempt, &mut evidence);
    evidence.progress = read_progress(&host.layout().progress(id));
    Closing::from_evidence(attempt, at, ready, evidence)
}

/// Logs the recovered end of an attempt.
pub fn log_unclosed(attempt: &Attempt, end: &AttemptEnd) {
    log::info!(
        BIJ_EXPERIMENT:% = attempt.run.experiment, BIJ_RUN:% = attempt.run,
        BIJ_ATTEMPT:% = attempt.number, BIJ_CAUSE:% = end.cause, BIJ_EVENT = "attempt-closed-late";
        "{}", describe_end(&attempt.run, attempt.number, end, attempt.started)
    );
}

/// Adds an OOM kill from the kernel's log. The counters were removed with the control group, and on cgroup v1 only this
/// log distinguishes an OOM kill from any other SIGKILL.
fn read_kernel_evidence(
    host: &HostContext,
    journal: &impl HookJournal,
    attempt: &Attempt,
    evidence: &mut Evidence,
) {
    let killed = evidence.exit.is_none_or(|exit| exit == Exit::Signal(9));
    let record = AttemptRecord::read(host.layout(), &attempt.run.experiment);
    let since = record
        .filter(|record| record.key == attempt.key)
        .and_then(|record| record.started_since_boot);
    let Some(since) = since.filter(|_| killed) else { return };
    let line = journal.oom_line(&attempt.run.experiment, Some(since - CLOCKS_DIFFER));
    if line.is_some() {
        evidence.oom_kills.get_or_insert(1);
        evidence.kernel_line = line;
    }
}

impl<D: DefinitionSource, L: Ledger, M: HookManager, J: HookJournal> HookContext<'_, D, L, M, J> {
    /// Closes the open ones of this experiment's recent attempts; returns whether there were any.
    pub(crate) fn close_unclosed(&mut self, recent: &[Attempt], here: AttemptKey) -> bool {
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
fn close_other_boots(
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

/// Why a boot or its end could not be recorded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BootError {
    /// The id of the boot is unknown.
    #[error("cannot identify the boot")]
    HostContext(#[from] HostContextError),
    /// The ledger did not take the record.
    #[error("cannot write to the ledger")]
    Ledger(#[from] LedgerError),
}

/// Closes, at boot, the open attempts of other boots; returns their number.
///
/// # Errors
/// [`BootError`]; the next `begin` tries again.
pub fn boot(host: &HostContext, ledger: &mut impl Ledger) -> Result<usize, BootError> {
    Ok(close_other_boots(ledger, host, host.boot()?)?)
}

/// Records, when the boot service stops, that this boot ended cleanly, if the machine shuts down.
///
/// # Errors
/// [`BootError`] if it could not be recorded.
pub fn shutdown(
    host: &HostContext,
    ledger: &mut impl Ledger,
    manager: &impl HookManager,
) -> Result<Outcome, BootError> {
    let stopping = logged(manager.is_stopping(), "cannot tell whether the machine shuts down");
    // Without an answer a shutdown is assumed: the service is rarely stopped by hand.
    if stopping == Some(false) {
        return Ok(Outcome::Unchanged);
    }
    let boot = host.boot()?;
    let outcome = ledger.mark_clean_shutdown(boot, host.now())?;
    log::info!(BIJ_EVENT = "clean-shutdown"; "boot {boot} ends cleanly");
    Ok(outcome)
}
