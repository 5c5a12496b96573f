//! Which of the runs that wait a start takes, and what becomes of its place in the queue.

use bij_core::port::{Ledger, Opening, RunQueue};
use bij_core::queue::{Origin, QueueState, Terms};
use bij_core::{Evidence, OrderKind, Outcome, RunEnd, RunState};

use super::fixture::{
    READS, WRITES, cancel, change, hold, let_start, line, move_to, put_back, run_state, state,
    submit,
};
use crate::contract::ledger_fixture::{
    boot, end, experiment, fresh, oom_kill, ordered, restart, segfault, success,
};

/// Opens an attempt and says where it stands.
fn begin(queue: &mut impl Ledger, opening: &Opening) -> (String, u32) {
    let opened = queue.open(opening).expect(WRITES);
    (opened.run.to_string(), opened.attempt.0)
}

/// Opens an attempt, says where it stands, and ends it.
fn live(queue: &mut impl Ledger, opening: &Opening, evidence: Evidence) -> (String, u32) {
    let place = begin(queue, opening);
    queue.close(&end(opening, evidence)).expect(WRITES);
    place
}

fn at(run: &str, attempt: u32) -> (String, u32) {
    (run.to_owned(), attempt)
}

pub(super) fn a_run_that_nobody_submitted_is_in_the_queue_while_it_is_not_over(
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
    assert_eq!(live(queue, &restart("x", 1, 2), success()), at("x#1", 2));
    assert_eq!(line(queue), [""; 0]);
    assert_eq!(run_state(queue, "x"), Some(RunState::Ended(RunEnd::Success)));
    // An end that nobody saw begin leaves nothing behind either.
    queue.close(&end(&fresh("x", 1, 3), success())).expect(WRITES);
    assert_eq!(run_state(queue, "x#2"), Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(line(queue), [""; 0]);
}

pub(super) fn a_start_takes_the_run_that_was_let_start_in_this_boot(
    queue: &mut (impl RunQueue + Ledger),
) {
    for _ in 0..3 {
        submit(queue, "x");
    }
    submit(queue, "y");
    change(queue, let_start("x#2", 1));
    assert_eq!(begin(queue, &fresh("x", 1, 1)), at("x#2", 1));
    assert_eq!(state(queue, "x#2"), Some(QueueState::Running));
    queue.close(&end(&fresh("x", 1, 1), segfault())).expect(WRITES);
    // Whatever came before: another one that is open has given up.
    change(queue, let_start("x#3", 1));
    assert_eq!(live(queue, &fresh("x", 1, 2), segfault()), at("x#3", 1));
    assert_eq!(run_state(queue, "x#2"), Some(RunState::Ended(RunEnd::GaveUp)));
    assert_eq!(line(queue), ["x#1", "x#3", "y#1"]);
}

pub(super) fn a_start_that_nobody_let_takes_the_first_that_waits(
    queue: &mut (impl RunQueue + Ledger),
) {
    for _ in 0..4 {
        submit(queue, "x");
    }
    change(queue, hold("x#1"));
    change(queue, move_to("x#4", -1));
    change(queue, cancel("x#2"));
    assert_eq!(live(queue, &fresh("x", 1, 1), success()), at("x#4", 1));
    assert_eq!(live(queue, &fresh("x", 1, 2), success()), at("x#3", 1));
    assert_eq!(live(queue, &fresh("x", 1, 3), success()), at("x#5", 1), "the held one stays");
    assert_eq!(line(queue), ["x#1"]);
}

pub(super) fn what_was_let_start_in_another_boot_goes_on_first(
    queue: &mut (impl RunQueue + Ledger),
) {
    submit(queue, "x");
    submit(queue, "x");
    change(queue, let_start("x#2", 1));
    assert_eq!(live(queue, &fresh("x", 2, 1), success()), at("x#2", 1));
    assert_eq!(live(queue, &fresh("x", 2, 2), success()), at("x#1", 1));
}

pub(super) fn a_restart_carries_on_though_others_wait(queue: &mut (impl RunQueue + Ledger)) {
    assert_eq!(live(queue, &fresh("x", 1, 1), oom_kill()), at("x#1", 1));
    submit(queue, "x");
    change(queue, let_start("x#2", 1));
    assert_eq!(live(queue, &restart("x", 1, 2), oom_kill()), at("x#1", 2));
    assert_eq!(state(queue, "x#2"), Some(QueueState::Starting { boot: boot(1) }));
    // Once it waits itself, the word of who let the other one start is newer.
    change(queue, put_back("x#1"));
    assert_eq!(live(queue, &restart("x", 1, 3), success()), at("x#2", 1));
    assert_eq!(state(queue, "x#1"), Some(QueueState::Waiting));
}

pub(super) fn what_a_reboot_or_heat_interrupted_goes_before_what_waits(
    queue: &mut (impl RunQueue + Ledger),
) {
    assert_eq!(live(queue, &fresh("x", 1, 1), ordered(OrderKind::Shutdown)), at("x#1", 1));
    submit(queue, "x");
    assert_eq!(live(queue, &fresh("x", 2, 2), ordered(OrderKind::Shutdown)), at("x#1", 2));
    assert_eq!(
        live(queue, &fresh("x", 2, 6), ordered(OrderKind::Heat)),
        at("x#1", 3),
        "in one boot"
    );
    assert_eq!(live(queue, &fresh("x", 2, 3), success()), at("x#1", 4), "heat ends no run either");
    assert_eq!(live(queue, &fresh("x", 3, 4), segfault()), at("x#2", 1));
    // A crash in this boot that nobody brought back: it gave up, and the next one is taken.
    submit(queue, "x");
    assert_eq!(live(queue, &fresh("x", 3, 5), success()), at("x#3", 1));
    assert_eq!(run_state(queue, "x#2"), Some(RunState::Ended(RunEnd::GaveUp)));
}

pub(super) fn what_is_put_back_and_stopped_waits_and_goes_on_with_its_next_attempt(
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
    assert_eq!(live(queue, &fresh("x", 1, 2), success()), at("x#2", 1));
    assert_eq!(begin(queue, &fresh("x", 1, 3)), at("x#1", 2), "it did not give up");
    queue.close(&end(&fresh("x", 1, 3), ordered(OrderKind::Stop))).expect(WRITES);
    assert_eq!(run_state(queue, "x#1"), Some(RunState::Ended(RunEnd::Stopped)));
    // What succeeds before it is stopped is done.
    let four = fresh("x", 1, 4);
    assert_eq!(begin(queue, &four), at("x#3", 1));
    change(queue, hold("x#3"));
    queue.close(&end(&four, success())).expect(WRITES);
    assert_eq!(line(queue), [""; 0]);
}

pub(super) fn a_run_that_was_ended_is_not_carried_on(queue: &mut (impl RunQueue + Ledger)) {
    let one = fresh("x", 1, 1);
    begin(queue, &one);
    change(queue, cancel("x#1"));
    queue.close(&end(&one, segfault())).expect(WRITES);
    assert_eq!(run_state(queue, "x#1"), Some(RunState::Ended(RunEnd::Cancelled)));
    assert_eq!(begin(queue, &restart("x", 1, 2)), at("x#2", 1));
    assert_eq!(line(queue), ["x#2"]);
}
