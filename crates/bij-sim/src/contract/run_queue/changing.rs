//! Clauses: changes of waiting runs.

use bij_core::port::{Change, Ledger, RunQueue};
use bij_core::queue::{EventKind, Group, Pause, Queue, QueuePosition, QueueState, Terms};
use bij_core::{Outcome, RunEnd, RunState};

use super::fixture::{
    self, READS, WRITES, cancel, change, hold, let_start, move_to, put_back, run, run_names, submit,
};
use crate::contract::ledger_fixture::{at, boot, end, experiment, fresh, success};

/// Returns a change of each kind for one run.
fn about(text: &str) -> [Change; 6] {
    let terms = Terms { priority: 3, now: true, ..Terms::default() };
    [
        hold(text),
        Change::Edit { run: run(text), terms: Box::new(terms), by: "bob".to_owned() },
        move_to(text, -5),
        Change::Bypassed { run: run(text), times: 2 },
        let_start(text, 1),
        cancel(text),
    ]
}

fn group() -> Group {
    let pause = Pause { by: "bob".to_owned(), since: at(7) };
    let name = "night".parse().expect("it is a name");
    Group { name, slots: Some(2), paused: Some(pause) }
}

fn set(group: Group) -> Change {
    Change::SetGroup { group, by: "bob".to_owned() }
}

fn pause(by: &str, since: i64) -> Change {
    let pause = Pause { by: by.to_owned(), since: at(since) };
    Change::Pause { pause: Some(pause), by: by.to_owned() }
}

fn resume() -> Change {
    Change::Pause { pause: None, by: "bob".to_owned() }
}

pub(super) fn every_change_may_be_repeated(queue: &mut (impl RunQueue + Ledger)) {
    submit(queue, "x");
    let remove = Change::RemoveGroup { name: group().name, by: "bob".to_owned() };
    let others = [set(group()), remove, pause("bob", 3), resume()];
    for change in about("x#1").into_iter().chain(others) {
        let both = [change.clone(), change.clone()];
        let outcomes = queue.change(&both, at(2)).expect(WRITES);
        assert_eq!(outcomes, [Outcome::Changed, Outcome::Unchanged], "{change:?}");
        let (before, recorded) = (queue.load().expect(READS), fixture::events(queue));
        assert_eq!(fixture::change(queue, change.clone()), Outcome::Unchanged, "{change:?}");
        assert_eq!(queue.load().expect(READS), before);
        assert_eq!(fixture::events(queue), recorded, "it leaves no event: {change:?}");
    }
    assert_eq!(fixture::run_state(queue, "x#1"), Some(RunState::Ended(RunEnd::Cancelled)));
    let note = Change::Note { kind: EventKind::Health, run: None, data: [].into() };
    for _ in 0..2 {
        assert_eq!(change(queue, note.clone()), Outcome::Changed);
    }
}

pub(super) fn changes_of_ended_and_unknown_runs_change_nothing(
    queue: &mut (impl RunQueue + Ledger),
) {
    submit(queue, "x");
    submit(queue, "x");
    change(queue, cancel("x#1"));
    let ended = fresh("x", 1, 1);
    queue.open(&ended).expect(WRITES);
    queue.close(&end(&ended, success())).expect(WRITES);
    let recorded = fixture::events(queue);
    for text in ["x#1", "x#2", "x#3", "never#1"] {
        let outcomes = queue.change(&about(text), at(2)).expect(WRITES);
        assert_eq!(outcomes, [Outcome::Unchanged; 6], "{text}");
    }
    assert_eq!(queue.load().expect(READS), Queue::default());
    assert_eq!(fixture::events(queue), recorded);
    assert_eq!(fixture::run_state(queue, "x#2"), Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(fixture::run_state(queue, "never"), None, "and makes no experiment");
}

pub(super) fn later_submissions_are_placed_behind_moved_runs(queue: &mut (impl RunQueue + Ledger)) {
    for name in ["a", "b", "c"] {
        submit(queue, name);
    }
    change(queue, move_to("a#1", 1000));
    change(queue, move_to("c#1", -1000));
    submit(queue, "d");
    // A start that was not submitted is placed last, too.
    queue.open(&fresh("e", 1, 1)).expect(WRITES);
    submit(queue, "f");
    assert_eq!(run_names(queue), ["c#1", "b#1", "a#1", "d#1", "e#1", "f#1"]);
    let first = Terms { priority: 1, ..Terms::default() };
    change(queue, Change::Edit { run: run("d#1"), terms: Box::new(first), by: "bob".to_owned() });
    assert_eq!(run_names(queue)[0], "d#1", "priority goes before position");
}

pub(super) fn several_changes_are_made_in_their_order(queue: &mut (impl RunQueue + Ledger)) {
    submit(queue, "x");
    submit(queue, "y");
    let positions =
        fixture::in_order(queue).iter().map(|queued| queued.position.0).collect::<Vec<_>>();
    // Two runs swap positions, through a position that both have for a moment.
    let moves = [move_to("x#1", positions[1]), move_to("y#1", positions[0])];
    assert_eq!(queue.change(&moves, at(1)).expect(WRITES), [Outcome::Changed; 2]);
    assert_eq!(run_names(queue), ["y#1", "x#1"]);
    let there_and_back = [hold("x#1"), put_back("x#1"), hold("never#1"), cancel("x#1")];
    let outcomes = queue.change(&there_and_back, at(1)).expect(WRITES);
    let (changed, unchanged) = (Outcome::Changed, Outcome::Unchanged);
    assert_eq!(outcomes, [changed, changed, unchanged, changed]);
}

pub(super) fn every_field_of_a_group_is_kept_until_it_is_removed(
    queue: &mut (impl RunQueue + Ledger),
) {
    let unlimited = Group { name: "all".parse().expect("it is a name"), slots: None, paused: None };
    change(queue, set(unlimited.clone()));
    change(queue, set(group()));
    assert_eq!(queue.load().expect(READS).groups, [unlimited.clone(), group()]);
    let narrower = Group { slots: Some(0), paused: None, ..group() };
    assert_eq!(change(queue, set(narrower.clone())), Outcome::Changed);
    assert_eq!(queue.load().expect(READS).groups, [unlimited.clone(), narrower]);
    let remove = Change::RemoveGroup { name: group().name, by: "bob".to_owned() };
    change(queue, remove);
    assert_eq!(queue.load().expect(READS).groups, [unlimited]);
}

pub(super) fn the_first_pause_stands(queue: &mut (impl RunQueue + Ledger)) {
    assert_eq!(change(queue, resume()), Outcome::Unchanged);
    assert_eq!(change(queue, pause("bob", 3)), Outcome::Changed);
    assert_eq!(change(queue, pause("carol", 4)), Outcome::Unchanged);
    let paused = queue.load().expect(READS).paused;
    assert_eq!(paused, Some(Pause { by: "bob".to_owned(), since: at(3) }));
    assert_eq!(change(queue, resume()), Outcome::Changed);
    assert_eq!(queue.load().expect(READS).paused, None);
}

pub(super) fn a_run_has_the_state_and_position_that_were_set(queue: &mut (impl RunQueue + Ledger)) {
    submit(queue, "x");
    let states = [
        QueueState::Held { by: "bob".to_owned() },
        QueueState::Held { by: "carol".to_owned() },
        QueueState::Starting { boot: boot(1) },
        QueueState::Starting { boot: boot(2) },
        QueueState::Running,
        QueueState::Waiting,
    ];
    for state in states {
        let why = "asked".to_owned();
        let to = Change::State { run: run("x#1"), from: None, state: state.clone(), why };
        assert_eq!(change(queue, to), Outcome::Changed);
        assert_eq!(fixture::state(queue, "x#1"), Some(state));
    }
    let position =
        |position| Change::Move { run: run("x#1"), position: QueuePosition(position), by: None };
    change(queue, position(i64::MIN));
    change(queue, Change::Bypassed { run: run("x#1"), times: 4 });
    let queued = &queue.load().expect(READS).runs[0];
    assert_eq!((queued.position, queued.bypassed), (QueuePosition(i64::MIN), 4));
    assert_eq!(queue.tally(&experiment("x")).expect(READS).attempts, 0);
}

pub(super) fn a_decision_about_an_outdated_state_changes_nothing(
    queue: &mut (impl RunQueue + Ledger),
) {
    submit(queue, "x");
    let starting = QueueState::Starting { boot: boot(1) };
    let goes = |from: &QueueState, state: &QueueState| Change::State {
        run: run("x#1"),
        from: Some(from.clone()),
        state: state.clone(),
        why: "room".to_owned(),
    };
    // A hook begins an attempt between the read and the write.
    queue.open(&fresh("x", 1, 1)).expect(WRITES);
    let recorded = fixture::events(queue);
    for state in [&starting, &QueueState::Held { by: "bob".to_owned() }] {
        assert_eq!(change(queue, goes(&QueueState::Waiting, state)), Outcome::Unchanged);
    }
    assert_eq!(fixture::state(queue, "x#1"), Some(QueueState::Running));
    assert_eq!(fixture::events(queue), recorded, "and it leaves no event");
    // Within a transaction each change sees the changes before it.
    let back_and_up =
        [goes(&QueueState::Running, &QueueState::Waiting), goes(&QueueState::Waiting, &starting)];
    assert_eq!(queue.change(&back_and_up, at(1)).expect(WRITES), [Outcome::Changed; 2]);
    let again = goes(&QueueState::Waiting, &starting);
    assert_eq!(change(queue, again), Outcome::Unchanged, "what is so already is so");
    let of_another_boot = goes(&QueueState::Starting { boot: boot(2) }, &QueueState::Waiting);
    assert_eq!(change(queue, of_another_boot), Outcome::Unchanged);
}

pub(super) fn a_stop_request_lasts_until_the_run_ends_or_is_requeued(
    queue: &mut (impl RunQueue + Ledger),
) {
    submit(queue, "x");
    let stop = |by: &str| Change::Stop { run: run("x#1"), by: by.to_owned() };
    let wanted_by = |queue: &dyn RunQueue| queue.load().expect(READS).runs[0].stop.clone();
    assert_eq!(change(queue, stop("bob")), Outcome::Unchanged, "it is not up");
    queue.open(&fresh("x", 1, 1)).expect(WRITES);
    assert_eq!(change(queue, stop("bob")), Outcome::Changed);
    assert_eq!(change(queue, stop("carol")), Outcome::Unchanged);
    assert_eq!(wanted_by(queue), Some("bob".to_owned()), "the first request stands");
    let recorded = fixture::events(queue).pop().expect("the stop is recorded");
    assert_eq!((recorded.kind, recorded.data["by"].as_str()), (EventKind::StopRequested, "bob"));
    change(queue, put_back("x#1"));
    assert_eq!(wanted_by(queue), None);
    queue.open(&fresh("x", 1, 2)).expect(WRITES);
    assert_eq!(wanted_by(queue), None, "the next attempt has no stop request");
    change(queue, stop("bob"));
    queue.close(&end(&fresh("x", 1, 2), success())).expect(WRITES);
    assert_eq!(queue.load().expect(READS), Queue::default());
    assert_eq!(change(queue, stop("bob")), Outcome::Unchanged);
}
