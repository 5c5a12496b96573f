//! Clauses: every call may be repeated and has the same result.

use bij_core::port::{AttemptQuery, Ledger, LedgerError};
use bij_core::{Cause, Outcome};

use super::fixture::{self, end, fresh, restart};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";

pub(super) fn opening_twice_returns_the_same_result(ledger: &mut impl Ledger) {
    let opening = fresh("x", 1, 1);
    let first = ledger.open(&opening).expect(WRITES);
    let second = ledger.open(&opening).expect(WRITES);
    assert_eq!(first, second);
    assert_eq!(first.run.to_string(), "x#1");
    assert_eq!(first.attempt.0, 1);
    assert_eq!(first.before.attempts, 0);
    assert_eq!(ledger.tally(&opening.experiment).expect(READS).attempts, 1);
}

pub(super) fn opening_again_returns_the_first_result(ledger: &mut impl Ledger) {
    let one = fresh("x", 1, 1);
    ledger.open(&one).expect(WRITES);
    let crash = fixture::with_checkpoint(7, fixture::oom_kill());
    ledger.close(&end(&one, crash)).expect(WRITES);
    let two = restart("x", 1, 2);
    let first = ledger.open(&two).expect(WRITES);
    assert_eq!(first.before.crashes, 1);
    assert_eq!(first.before.last_cause, Some(Cause::OomKill));
    // Later events do not change what the opening returned.
    let later = fixture::with_checkpoint(9, fixture::segfault());
    ledger.close(&end(&two, later)).expect(WRITES);
    let three = fresh("x", 1, 3);
    let new_run = ledger.open(&three).expect(WRITES);
    assert_eq!(ledger.open(&two).expect(WRITES), first);
    assert_eq!(ledger.open(&three).expect(WRITES), new_run);
}

pub(super) fn closing_twice_counts_once_and_the_first_end_stands(ledger: &mut impl Ledger) {
    let opening = fresh("x", 1, 1);
    ledger.open(&opening).expect(WRITES);
    let crash = end(&opening, fixture::oom_kill());
    assert_eq!(ledger.close(&crash).expect(WRITES), Outcome::Changed);
    let before = ledger.attempts(&AttemptQuery::default()).expect(READS);
    assert_eq!(ledger.close(&crash).expect(WRITES), Outcome::Unchanged);
    let other = end(&opening, fixture::segfault());
    assert_eq!(ledger.close(&other).expect(WRITES), Outcome::Unchanged);
    assert_eq!(ledger.attempts(&AttemptQuery::default()).expect(READS), before);
    let tally = ledger.tally(&opening.experiment).expect(READS);
    assert_eq!((tally.attempts, tally.crashes), (1, 1));
    assert_eq!(tally.crashes_by_cause, [(Cause::OomKill, 1)].into());
}

pub(super) fn closing_an_unopened_attempt_adds_it(ledger: &mut impl Ledger) {
    let one = fresh("x", 1, 1);
    let closing = end(&one, fixture::oom_kill());
    assert_eq!(ledger.close(&closing).expect(WRITES), Outcome::Changed);
    assert_eq!(ledger.close(&closing).expect(WRITES), Outcome::Unchanged);
    let two = end(&restart("x", 1, 2), fixture::segfault());
    assert_eq!(ledger.close(&two).expect(WRITES), Outcome::Changed);
    let attempts = ledger.attempts(&AttemptQuery::default()).expect(READS);
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0].started, closing.started);
    assert_eq!(attempts[0].ready, closing.ready);
    assert_eq!(attempts[0].end.as_ref(), Some(&closing.end));
    assert_eq!(attempts[1].run.to_string(), "x#1", "its evidence says that it was a restart");
    assert_eq!(attempts[1].number.0, 2);
    let third = end(&fresh("x", 1, 3), fixture::success());
    ledger.close(&third).expect(WRITES);
    let tally = ledger.tally(&third.experiment).expect(READS);
    assert_eq!(tally.last.expect("there are three").run.to_string(), "x#2");
    assert_eq!(tally.crashes, 2);
}

pub(super) fn opening_an_ended_attempt_changes_nothing(ledger: &mut impl Ledger) {
    let opening = fresh("x", 1, 1);
    ledger.close(&end(&opening, fixture::success())).expect(WRITES);
    let before = ledger.attempts(&AttemptQuery::default()).expect(READS);
    let opened = ledger.open(&opening).expect(WRITES);
    assert_eq!(opened.run.to_string(), "x#1");
    assert_eq!(opened.before.attempts, 0);
    assert_eq!(ledger.attempts(&AttemptQuery::default()).expect(READS), before);
}

pub(super) fn a_key_belongs_to_one_experiment(ledger: &mut impl Ledger) {
    let mine = fresh("mine", 1, 1);
    ledger.open(&mine).expect(WRITES);
    let theirs = fresh("theirs", 1, 1);
    let claimed =
        |error| matches!(error, LedgerError::Claimed { owner } if owner == mine.experiment);
    assert!(ledger.open(&theirs).is_err_and(claimed));
    assert!(ledger.close(&end(&theirs, fixture::segfault())).is_err_and(claimed));
    let tallies = ledger.tallies().expect(READS);
    assert_eq!(tallies.len(), 1);
    assert_eq!(tallies[&mine.experiment].crashes, 0);
}
