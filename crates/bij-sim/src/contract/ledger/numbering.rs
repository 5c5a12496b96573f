//! Clauses: the run of an attempt, and its number within the run.

use bij_core::port::{Ledger, Opening};
use bij_core::{Evidence, OrderKind, RunEnd};

use super::fixture::{self, end, fresh, restart};

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
