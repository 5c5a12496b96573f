//! Unclosed attempts: attempts without an end record.

use std::collections::BTreeSet;

use crate::port::{AttemptQuery, Closing, Ledger, LedgerError};
use crate::{
    Attempt, AttemptEnd, BootId, Evidence, ExperimentId, Order, OrderKind, Outcome, Progress,
    Timestamp, Witness,
};

/// What is known about the end of an unclosed attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredEnd {
    /// When it ended, if known.
    pub ended: Option<Timestamp>,
    /// The last progress that it reported.
    pub progress: Option<Progress>,
    /// Further remarks for people, one sentence each.
    pub notes: Vec<String>,
}

/// Closes the unclosed attempts of other boots and returns them, oldest first.
///
/// Such an attempt ended with its boot: by a [`Reboot`](crate::Cause::Reboot) if that boot had a clean
/// shutdown, by a [`PowerLoss`](crate::Cause::PowerLoss) if not. `recover` is called for the newest unclosed
/// attempt of each experiment only, because the files of an experiment say nothing about older attempts. An
/// unknown end time is recorded as `now`, with a note.
///
/// # Errors
/// [`LedgerError`] if the ledger could not be read or written. Attempts closed before stay closed, and
/// calling again closes the rest.
pub fn close_other_boots(
    ledger: &mut (impl Ledger + ?Sized),
    current: BootId,
    now: Timestamp,
    recover: impl Fn(&Attempt) -> RecoveredEnd,
) -> Result<Vec<Attempt>, LedgerError> {
    let open = ledger.attempts(&AttemptQuery { open: true, ..AttemptQuery::default() })?;
    let unclosed: Vec<Attempt> =
        open.into_iter().filter(|attempt| attempt.key.boot != current).collect();
    let mut seen = BTreeSet::<ExperimentId>::new();
    let mut ends = Vec::new();
    for attempt in unclosed.iter().rev() {
        let is_newest = seen.insert(attempt.run.experiment.clone());
        let recovered = if is_newest { recover(attempt) } else { RecoveredEnd::default() };
        let was_clean = ledger.ended_cleanly(attempt.key.boot)?;
        ends.push(end_with_boot(attempt, was_clean, recovered, now));
    }
    let mut closed = Vec::new();
    for (mut attempt, end) in unclosed.into_iter().zip(ends.into_iter().rev()) {
        let closing = Closing {
            experiment: attempt.run.experiment.clone(),
            key: attempt.key,
            ready: attempt.ready,
            end: end.clone(),
            started: attempt.started,
        };
        if ledger.close(&closing)? == Outcome::Changed {
            attempt.end = Some(end);
            closed.push(attempt);
        }
    }
    Ok(closed)
}

/// Returns the unclosed attempts of this boot: open attempts that their unit no longer runs, so that the record
/// of their end was lost. The journal may have it. `is_running` tells whether the unit still runs an attempt.
///
/// # Errors
/// [`LedgerError`] if the ledger could not be read.
pub fn unclosed_attempts(
    ledger: &(impl Ledger + ?Sized),
    current: BootId,
    is_running: impl Fn(&Attempt) -> bool,
) -> Result<Vec<Attempt>, LedgerError> {
    let open = ledger.attempts(&AttemptQuery { open: true, ..AttemptQuery::default() })?;
    let is_unclosed = |attempt: &Attempt| attempt.key.boot == current && !is_running(attempt);
    Ok(open.into_iter().filter(is_unclosed).collect())
}

/// Returns the end of an attempt that was open when its boot ended.
fn end_with_boot(
    attempt: &Attempt,
    was_clean: bool,
    recovered: RecoveredEnd,
    now: Timestamp,
) -> AttemptEnd {
    let RecoveredEnd { ended, progress, mut notes } = recovered;
    if ended.is_none() {
        notes.push("when it ended is not known; the time given is when it was found".to_owned());
    }
    let order = was_clean.then(|| Order { kind: OrderKind::Shutdown, by: "the system".to_owned() });
    let evidence = Evidence {
        witness: Some(Witness::NextBoot),
        became_ready: attempt.ready.is_some(),
        order,
        progress,
        notes,
        ..Evidence::default()
    };
    AttemptEnd { at: ended.unwrap_or(now), cause: evidence.prove(), evidence }
}
