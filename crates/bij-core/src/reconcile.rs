//! What becomes of attempts that nobody has ended.

use std::collections::BTreeSet;

use crate::port::{AttemptQuery, Closing, Ledger, LedgerError};
use crate::{
    Attempt, AttemptEnd, BootId, Evidence, ExperimentId, Order, OrderKind, Outcome, Progress,
    Timestamp, Witness,
};

/// What an attempt has left behind, as far as its finder knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWords {
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Its last progress.
    pub progress: Option<Progress>,
    /// What else is known about its end, one sentence each.
    pub notes: Vec<String>,
}

/// Ends what other boots have left open, and returns it as it is now.
///
/// An attempt ended with its boot: by a [`Reboot`](crate::Cause::Reboot) if that boot is marked as
/// ended in good order, by a [`PowerLoss`](crate::Cause::PowerLoss) if it is not. `last_words` is
/// asked about the newest such attempt of each experiment; what is found at that place now says
/// nothing about older ones. An end whose time nobody knows is given `now`, with a note.
///
/// # Errors
/// [`LedgerError`] if the ledger could not be read or written; what was ended before stays ended,
/// and calling again does the rest.
pub fn close_other_boots(
    ledger: &mut impl Ledger,
    current: BootId,
    now: Timestamp,
    last_words: impl Fn(&Attempt) -> LastWords,
) -> Result<Vec<Attempt>, LedgerError> {
    let open = ledger.attempts(&AttemptQuery { open: true, ..AttemptQuery::default() })?;
    let left_open: Vec<Attempt> =
        open.into_iter().filter(|attempt| attempt.key.boot != current).collect();
    let mut heard = BTreeSet::<ExperimentId>::new();
    let mut ends = Vec::new();
    for attempt in left_open.iter().rev() {
        let newest = heard.insert(attempt.run.experiment.clone());
        let words = if newest { last_words(attempt) } else { LastWords::default() };
        let clean = ledger.ended_cleanly(attempt.key.boot)?;
        ends.push(ended_with_its_boot(attempt, clean, words, now));
    }
    let mut closed = Vec::new();
    // Oldest first, as everywhere.
    for (mut attempt, end) in left_open.into_iter().zip(ends.into_iter().rev()) {
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

/// Open attempts of this boot whose unit lives another life by now, or none: their `end` was lost,
/// and the journal may know it. `lives` says whether an attempt is still what its unit runs.
///
/// # Errors
/// [`LedgerError`] if the ledger could not be read.
pub fn orphans(
    ledger: &impl Ledger,
    current: BootId,
    lives: impl Fn(&Attempt) -> bool,
) -> Result<Vec<Attempt>, LedgerError> {
    let open = ledger.attempts(&AttemptQuery { open: true, ..AttemptQuery::default() })?;
    Ok(open.into_iter().filter(|attempt| attempt.key.boot == current && !lives(attempt)).collect())
}

/// How an attempt ended that was open when its boot ended.
fn ended_with_its_boot(
    attempt: &Attempt,
    clean: bool,
    words: LastWords,
    now: Timestamp,
) -> AttemptEnd {
    let LastWords { ended, progress, mut notes } = words;
    if ended.is_none() {
        notes.push("when it ended is not known; the time given is when it was found".to_owned());
    }
    let order = clean.then(|| Order { kind: OrderKind::Shutdown, by: "the system".to_owned() });
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
