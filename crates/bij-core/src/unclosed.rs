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
    let mut orders = Vec::new();
    for attempt in &unclosed {
        let was_clean = ledger.ended_cleanly(attempt.key.boot)?;
        let by = "the system".to_owned();
        orders.push(was_clean.then_some(Order { kind: OrderKind::Shutdown, by }));
    }
    let recovered = recover_newest(&unclosed, recover);
    let found = unclosed.into_iter().zip(recovered).zip(orders);
    let ended = found.map(|((attempt, recovered), order)| {
        let end = recovered_end(&attempt, Witness::NextBoot, order, recovered, now);
        (attempt, end)
    });
    close_all(ledger, ended.collect())
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

/// Closes the unclosed attempts of this boot and returns them, oldest first: those for which `is_running` returns
/// `false`. A supervisor that keeps its own processes calls it when it starts, because an attempt stays open if its
/// supervisor was killed.
///
/// What ended such an attempt is not known, so its cause is [`Unknown`](crate::Cause::Unknown), which counts as a
/// crash and leaves its run open. `recover` is called as by [`close_other_boots`], and an unknown end time is
/// recorded as `now`, with a note. A supervisor that knows more about an end records it with
/// [`Closing::from_evidence`] instead.
///
/// # Errors
/// As [`close_other_boots`].
pub fn close_this_boot(
    ledger: &mut (impl Ledger + ?Sized),
    current: BootId,
    now: Timestamp,
    is_running: impl Fn(&Attempt) -> bool,
    recover: impl Fn(&Attempt) -> RecoveredEnd,
) -> Result<Vec<Attempt>, LedgerError> {
    let unclosed = unclosed_attempts(ledger, current, is_running)?;
    let recovered = recover_newest(&unclosed, recover);
    let ended = unclosed.into_iter().zip(recovered).map(|(attempt, recovered)| {
        let end = recovered_end(&attempt, Witness::NextStart, None, recovered, now);
        (attempt, end)
    });
    close_all(ledger, ended.collect())
}

/// Calls `recover` for the newest attempt of each experiment. The others get the default.
fn recover_newest(
    unclosed: &[Attempt],
    recover: impl Fn(&Attempt) -> RecoveredEnd,
) -> Vec<RecoveredEnd> {
    let mut seen = BTreeSet::<&ExperimentId>::new();
    let newest_first = unclosed.iter().rev().map(|attempt| {
        let is_newest = seen.insert(&attempt.run.experiment);
        if is_newest { recover(attempt) } else { RecoveredEnd::default() }
    });
    let mut recovered: Vec<RecoveredEnd> = newest_first.collect();
    recovered.reverse();
    recovered
}

/// Closes attempts, and returns those that were open until now.
fn close_all(
    ledger: &mut (impl Ledger + ?Sized),
    ended: Vec<(Attempt, AttemptEnd)>,
) -> Result<Vec<Attempt>, LedgerError> {
    let mut closed = Vec::new();
    for (mut attempt, end) in ended {
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

/// Returns the end of an unclosed attempt, found by `witness`.
fn recovered_end(
    attempt: &Attempt,
    witness: Witness,
    order: Option<Order>,
    recovered: RecoveredEnd,
    now: Timestamp,
) -> AttemptEnd {
    let RecoveredEnd { ended, progress, mut notes } = recovered;
    if ended.is_none() {
        notes.push("when it ended is not known; the time given is when it was found".to_owned());
    }
    let evidence = Evidence {
        witness: Some(witness),
        became_ready: attempt.ready.is_some(),
        order,
        progress,
        notes,
        ..Evidence::default()
    };
    AttemptEnd { at: ended.unwrap_or(now), cause: evidence.prove(), evidence }
}
