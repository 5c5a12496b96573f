//! Clauses: which waiting run a start takes, and where the run stands afterwards.

use bij_core::port::{Ledger, Opening, RunQueue};
use bij_core::queue::{Origin, QueueState, Terms};
use bij_core::{Evidence, OrderKind, Outcome, RunEnd, RunState};

use super::fixture::{
    READS, WRITES, cancel, change, hold, let_start, move_to, put_back, run_names, run_state, state,
    submit,
};
use crate::contract::ledger_fixture::{
    boot, end, experiment, fresh, oom_kill, ordered, restart, segfault, success,
};

/// Opens an attempt and returns its run and attempt number.
fn begin(queue: &mut impl Ledger, opening: &Opening) -> (String, u32) {
    let opened = queue.open(opening).expect(WRITES);
    (opened.run.to_string(), opened.attempt.0)
}

/// Opens and closes an attempt. Returns its run and attempt number.
fn run_attempt(queue: &mut impl Ledger, opening: &Opening, evidence: Evidence) -> (String, u32) {
    let place = begin(queue, opening);
    queue.close(&end(opening, evidence)).expect(WRITES);
    place
}

fn at(run: &str, attempt: u32) -> (String, u32) {
    (run.to_owned(), attempt)
}

pub(super) fn a_run_without_submission_is_in_the_queue_until_it_ends(
    queue: &mut (impl RunQueue + Ledger),
) {
    let one = fresh("x", 1, 1);
    assert_eq!(begin(queue, &one), at("x#1", 1));
    let queued = &queue.load().expect(READS).runs[0];
    assert_eq!(queued.state, QueueState::Running);
    assert_eq!(queued.origin, Origin::Start);
    assert_eq!(queued.terms, Terms::default());
    assert_eq!((queued.submitted, queued.by.as_str()), (one.at, "systemd"));
    queue.close(&end(&one, oom_kill())).expect(WRITES);
    assert_eq!(state(queue, "x#1"), Some(QueueState::Running), "its next attempt is due");
    assert_eq!(run_attempt(queue, &restart("x", 1, 2), success()), at("x#1", 2));
    assert_eq!(run_names(queue), [""; 0]);
    assert_eq!(run_state(queue, "x"), Some(RunState::Ended(RunEnd::Success)));
    // The end of an unopened attempt leaves no run in the queue either.
    queue.close(&end(&fresh("x", 1, 3), success())).expect(WRITES);
    assert_eq!(run_state(queue, "x#2"), Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(run_names(queue), [""; 0]);
}

pub(super) fn a_start_takes_the_run_admitted_in_this_boot(queue: &mut (impl RunQueue + Ledger)) {
    for _ in 0..3 {
        submit(queue, "x");
    }
    submit(queue, "y");
    change(queue, let_start("x#2", 1));
    assert_eq!(begin(queue, &fresh("x", 1, 1)), at("x#2", 1));
    assert_eq!(state(queue, "x#2"), Some(QueueState::Running));
    queue.close(&end(&fresh("x", 1, 1), segfault())).expect(WRITES);
    // The open run of the earlier attempt has given up.
    change(queue, let_start("x#3", 1));
    assert_eq!(run_attempt(queue, &fresh("x", 1, 2), segfault()), at("x#3", 1));
    assert_eq!(run_state(queue, "x#2"), Some(RunState::Ended(RunEnd::GaveUp)));
    assert_eq!(run_names(queue), ["x#1", "x#3", "y#1"]);
}

pub(super) fn a_start_without_admission_takes_the_first_waiting_run(
    queue: &mut (impl RunQueue + Ledger),
) {
    for _ in 0..4 {
        submit(queue, "x");
    }
    change(queue, hold("x#1"));
    change(queue, move_to("x#4", -1));
    change(queue, cancel("x#2"));
    assert_eq!(run_attempt(queue, &fresh("x", 1, 1), success()), at("x#4", 1));
    assert_eq!(run_attempt(queue, &fresh("x", 1, 2), success()), at("x#3", 1));
    assert_eq!(
        run_attempt(queue, &fresh("x", 1, 3), success()),
        at("x#5", 1),
        "the held one stays"
    );
    assert_eq!(run_names(queue), ["x#1"]);
}

pub(super) fn a_run_admitted_in_another_boot_starts_first(queue: &mut (impl RunQueue + Ledger)) {
    submit(queue, "x");
    submit(queue, "x");
    change(queue, let_start("x#2", 1));
    assert_eq!(run_attempt(queue, &fresh("x", 2, 1), success()), at("x#2", 1));
    assert_eq!(run_attempt(queue, &fresh("x", 2, 2), success()), at("x#1", 1));
}

pub(super) fn a_restart_continues_its_run_although_others_wait(
    queue: &mut (impl RunQueue + Ledger),
) {
    assert_eq!(run_attempt(queue, &fresh("x", 1, 1), oom_kill()), at("x#1", 1));
    submit(queue, "x");
    change(queue, let_start("x#2", 1));
    assert_eq!(run_attempt(queue, &restart("x", 1, 2), oom_kill()), at("x#1", 2));
    assert_eq!(state(queue, "x#2"), Some(QueueState::Starting { boot: boot(1) }));
    // When the run itself is requeued, the admission of the other run is newer.
    change(queue, put_back("x#1"));
    assert_eq!(run_attempt(queue, &restart("x", 1, 3), success()), at("x#2", 1));
    assert_eq!(state(queue, "x#1"), Some(QueueState::Waiting));
}

pub(super) fn an_interrupted_run_starts_before_waiting_runs(queue: &mut (impl RunQueue + Ledger)) {
    assert_eq!(run_attempt(queue, &fresh("x", 1, 1), ordered(OrderKind::Shutdown)), at("x#1", 1));
    submit(queue, "x");
    assert_eq!(run_attempt(queue, &fresh("x", 2, 2), ordered(OrderKind::Shutdown)), at("x#1", 2));
    assert_eq!(
        run_attempt(queue, &fresh("x", 2, 6), ordered(OrderKind::Heat)),
        at("x#1", 3),
        "in one boot"
    );
    assert_eq!(
        run_attempt(queue, &fresh("x", 2, 3), success()),
        at("x#1", 4),
        "heat ends no run either"
    );
    assert_eq!(run_attempt(queue, &fresh("x", 3, 4), segfault()), at("x#2", 1));
    // A crash in this boot that was not restarted: the run gave up, and the start takes the next
    // run.
    submit(queue, "x");
    assert_eq!(run_attempt(queue, &fresh("x", 3, 5), success()), at("x#3", 1));
    assert_eq!(run_state(queue, "x#2"), Some(RunState::Ended(RunEnd::GaveUp)));
}

pub(super) fn a_requeued_and_stopped_run_waits_and_continues_with_its_next_attempt(
    queue: &mut (impl RunQueue + Ledger),
) {
    let one = fresh("x", 1, 1);
    begin(queue, &one);
    submit(queue, "x");
    change(queue, put_back("x#1"));
    assert_eq!(queue.close(&end(&one, ordered(OrderKind::Stop))).expect(WRITES), Outcome::Changed);
    assert_eq!(run_state(queue, "x#1"), Some(RunState::Open));
    assert_eq!(queue.tally(&experiment("x")).expect(READS).last_run_end, None);
    change(queue, let_start("x#2", 1));
    assert_eq!(run_attempt(queue, &fresh("x", 1, 2), success()), at("x#2", 1));
    assert_eq!(begin(queue, &fresh("x", 1, 3)), at("x#1", 2), "it did not give up");
    queue.close(&end(&fresh("x", 1, 3), ordered(OrderKind::Stop))).expect(WRITES);
    assert_eq!(run_state(queue, "x#1"), Some(RunState::Ended(RunEnd::Stopped)));
    // A run that succeeds while it is held is finished.
    let four = fresh("x", 1, 4);
    assert_eq!(begin(queue, &four), at("x#3", 1));
    change(queue, hold("x#3"));
    queue.close(&end(&four, success())).expect(WRITES);
    assert_eq!(run_names(queue), [""; 0]);
}

pub(super) fn an_ended_run_is_not_continued(queue: &mut (impl RunQueue + Ledger)) {
    let one = fresh("x", 1, 1);
    begin(queue, &one);
    change(queue, cancel("x#1"));
    queue.close(&end(&one, segfault())).expect(WRITES);
    assert_eq!(run_state(queue, "x#1"), Some(RunState::Ended(RunEnd::Cancelled)));
    assert_eq!(begin(queue, &restart("x", 1, 2)), at("x#2", 1));
    assert_eq!(run_names(queue), ["x#2"]);
}
