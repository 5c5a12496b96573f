//! Clauses: an attempt gets its run and its number within the run, and every call may be repeated and has the same
//! result.

use bij_core::port::{AttemptQuery, Ledger, LedgerError, Opening};
use bij_core::{Cause, Evidence, OrderKind, Outcome, RunEnd};

use super::fixture::{self, end, fresh, restart};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";

/// Opens and closes an attempt. Returns its run number and attempt number.
fn run_attempt(ledger: &mut impl Ledger, opening: &Opening, evidence: Evidence) -> (u32, u32) {
    let opened = ledger.open(opening).expect(WRITES);
    ledger.close(&end(opening, evidence)).expect(WRITES);
    (opened.run.number.0, opened.attempt.0)
}

pub(super) fn a_restart_continues_the_run(ledger: &mut impl Ledger) {
    assert_eq!(run_attempt(ledger, &fresh("x", 1, 1), fixture::oom_kill()), (1, 1));
    assert_eq!(run_attempt(ledger, &restart("x", 1, 2), fixture::exit(3)), (1, 2));
    assert_eq!(run_attempt(ledger, &restart("x", 1, 3), fixture::success()), (1, 3));
    assert_eq!(run_attempt(ledger, &fresh("x", 1, 4), fixture::success()), (2, 1));
}

pub(super) fn another_boot_continues_the_run(ledger: &mut impl Ledger) {
    assert_eq!(run_attempt(ledger, &fresh("x", 1, 1), fixture::oom_kill()), (1, 1));
    assert_eq!(
        run_attempt(ledger, &fresh("x", 2, 2), fixture::ordered(OrderKind::Shutdown)),
        (1, 2)
    );
    assert_eq!(run_attempt(ledger, &fresh("x", 3, 3), fixture::success()), (1, 3));
    assert_eq!(run_attempt(ledger, &fresh("x", 4, 4), fixture::success()), (2, 1));
}

pub(super) fn a_fresh_start_after_a_crash_is_a_new_run(ledger: &mut impl Ledger) {
    assert_eq!(run_attempt(ledger, &fresh("x", 1, 1), fixture::segfault()), (1, 1));
    let opened = ledger.open(&fresh("x", 1, 2)).expect(WRITES);
    assert_eq!((opened.run.number.0, opened.attempt.0), (2, 1));
    assert_eq!(opened.before.last_run_end, Some(RunEnd::GaveUp));
    assert_eq!(opened.before.crashes, 1);
    let tally = ledger.tally(&opened.run.experiment).expect("the ledger can be read");
    assert_eq!(tally.last_run_end, None, "the newest run is open");
}

pub(super) fn success_stop_and_exit_code_78_end_the_run(ledger: &mut impl Ledger) {
    let ends = [
        (fixture::success(), RunEnd::Success),
        (fixture::ordered(OrderKind::Stop), RunEnd::Stopped),
        (fixture::exit(78), RunEnd::Never),
    ];
    for (number, (evidence, run_end)) in (1_u32..).zip(ends) {
        // Each in its own boot: only an ended run keeps the next attempt from continuing it.
        let opening = fresh("x", u8::try_from(number).expect("there are three"), number);
        let id = opening.experiment.clone();
        assert_eq!(run_attempt(ledger, &opening, evidence), (number, 1));
        let tally = ledger.tally(&id).expect("the ledger can be read");
        assert_eq!(tally.last_run_end, Some(run_end));
    }
    assert_eq!(run_attempt(ledger, &restart("x", 9, 9), fixture::success()), (4, 1));
}

pub(super) fn a_checkpointed_exit_continues_the_run(ledger: &mut impl Ledger) {
    assert_eq!(run_attempt(ledger, &fresh("x", 1, 1), fixture::exit(75)), (1, 1));
    let opened = ledger.open(&restart("x", 1, 2)).expect(WRITES);
    assert_eq!((opened.run.number.0, opened.attempt.0), (1, 2));
    assert_eq!(opened.before.crashes, 0, "it asked to be resumed");
}

pub(super) fn a_late_end_does_not_end_a_continued_run(ledger: &mut impl Ledger) {
    let (one, two) = (fresh("x", 1, 1), restart("x", 1, 2));
    ledger.open(&one).expect(WRITES);
    ledger.open(&two).expect(WRITES);
    ledger.close(&end(&one, fixture::success())).expect(WRITES);
    let three = ledger.open(&restart("x", 1, 3)).expect(WRITES);
    assert_eq!((three.run.number.0, three.attempt.0), (1, 3));
    // A late end also does not change how a run ended that had given up before.
    let four = ledger.open(&fresh("x", 1, 4)).expect(WRITES);
    assert_eq!(four.before.last_run_end, Some(RunEnd::GaveUp));
    ledger.close(&end(&restart("x", 1, 3), fixture::success())).expect(WRITES);
    assert_eq!(ledger.open(&fresh("x", 1, 4)).expect(WRITES), four_again(&four));
}

/// Returns the fourth opening as it is repeated after the third attempt has ended.
fn four_again(four: &bij_core::port::Opened) -> bij_core::port::Opened {
    let mut again = four.clone();
    let last = again.before.last.as_mut().expect("there are three before it");
    let third = end(&restart("x", 1, 3), fixture::success());
    last.ready = third.ready;
    last.end = Some(third.end);
    again
}

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
