//! Clauses: every change is recorded as one numbered event.

use std::collections::BTreeMap;

use bij_core::port::{Change, Ledger, RunQueue};
use bij_core::queue::{Event, EventKind, Group, Pause, Terms};
use bij_core::{AttemptNumber, RunNumber};

use super::fixture::{
    READS, WRITES, cancel, change, events, hold, let_start, move_to, put_back, run, submit,
};
use crate::contract::ledger_fixture::{at, end, exit, experiment, fresh, oom_kill, restart};

/// Returns an event as one line.
fn event_line(event: &Event) -> String {
    let Event { seq, at: _, kind, experiment, run, attempt, data } = event;
    let mut text = format!("{seq} {kind}");
    for part in [
        experiment.as_ref().map(ToString::to_string),
        run.map(|RunNumber(number)| number.to_string()),
        attempt.map(|AttemptNumber(number)| number.to_string()),
    ] {
        text += &part.map_or_else(|| " -".to_owned(), |part| format!(" {part}"));
    }
    data.iter().fold(text, |text, (key, value)| format!("{text} {key}={value}"))
}

pub(super) fn every_change_is_recorded_once(queue: &mut (impl RunQueue + Ledger)) {
    submit(queue, "x");
    let name = "night".parse().expect("it is a name");
    let by = || "bob".to_owned();
    let group = Group { name, slots: Some(2), paused: None };
    let pause = Some(Pause { by: by(), since: at(3) });
    let terms = Box::new(Terms { now: true, ..Terms::default() });
    let data: BTreeMap<_, _> = [("text".to_owned(), "no step for \"10 min\"".to_owned())].into();
    let set = |group: Group| Change::SetGroup { group, by: by() };
    let changes = [
        Change::Edit { run: run("x#1"), terms, by: by() },
        move_to("x#1", 7),
        Change::Move { run: run("x#1"), position: bij_core::queue::QueuePosition(8), by: None },
        Change::Bypassed { run: run("x#1"), times: 1 },
        hold("x#1"),
        put_back("x#1"),
        let_start("x#1", 1),
        put_back("x#1"),
        set(group.clone()),
        set(Group { paused: pause.clone(), ..group.clone() }),
        set(group.clone()),
        Change::RemoveGroup { name: group.name, by: by() },
        Change::Pause { pause, by: by() },
        Change::Pause { pause: None, by: by() },
        Change::Note { kind: EventKind::Health, run: Some(run("x#1")), data },
        cancel("x#1"),
    ];
    queue.change(&changes, at(9)).expect(WRITES);
    let all = events(queue);
    let lines: Vec<_> = all.iter().map(event_line).collect();
    assert_eq!(
        lines,
        [
            "1 submitted x 1 - by=alice origin=submit",
            "2 edited x 1 - by=bob",
            "3 moved x 1 - by=bob",
            "4 held x 1 - by=bob why=asked",
            "5 released x 1 - why=heat",
            "6 admitted x 1 - why=room",
            "7 requeued x 1 - why=heat",
            "8 group-changed - - - by=bob group=night slots=2",
            "9 paused - - - by=bob group=night slots=2",
            "10 resumed - - - by=bob group=night slots=2",
            "11 group-changed - - - by=bob group=night removed=true",
            "12 paused - - - by=bob",
            "13 resumed - - - by=bob",
            "14 health x 1 - text=no step for \"10 min\"",
            "15 run-ended x 1 - by=bob end=cancelled",
        ]
    );
    assert_eq!(all[0].at, at(0));
    assert!(all[1..].iter().all(|event| event.at == at(9)));
}

pub(super) fn attempts_and_ends_are_recorded_with_their_write(
    queue: &mut (impl RunQueue + Ledger),
) {
    let one = fresh("x", 1, 1);
    for _ in 0..2 {
        queue.open(&one).expect(WRITES);
    }
    let closing = end(&one, oom_kill());
    for _ in 0..2 {
        queue.close(&closing).expect(WRITES);
    }
    let two = restart("x", 1, 2);
    queue.open(&two).expect(WRITES);
    queue.close(&end(&two, exit(75))).expect(WRITES);
    // A fresh start: the run before gave up. The end of an unopened attempt records its opening
    // too.
    let three = end(&fresh("x", 1, 3), exit(78));
    queue.close(&three).expect(WRITES);
    let all = events(queue);
    let lines: Vec<_> = all.iter().map(event_line).collect();
    assert_eq!(
        lines,
        [
            "1 attempt-begun x 1 1",
            "2 attempt-ended x 1 1 cause=oom-kill crash=true signal=9",
            "3 attempt-begun x 1 2",
            "4 attempt-ended x 1 2 cause=exit code=75",
            "5 run-ended x 1 - end=gave-up",
            "6 attempt-begun x 2 1",
            "7 attempt-ended x 2 1 cause=exit code=78 crash=true",
            "8 run-ended x 2 - end=never",
        ]
    );
    assert_eq!(all[0].at, one.at);
    assert_eq!(all[1].at, closing.end.at);
    assert_eq!((all[4].at, all[5].at), (three.started, three.started));
    assert_eq!((all[6].at, all[7].at), (three.end.at, three.end.at));
    assert_eq!(all[0].experiment, Some(experiment("x")));
}

pub(super) fn a_reader_resumes_without_a_gap(queue: &mut (impl RunQueue + Ledger)) {
    assert_eq!(queue.events(0, 10).expect(READS), []);
    let mut read = Vec::<Event>::new();
    for round in 0..4 {
        for _ in 0..5 {
            submit(queue, "x");
        }
        loop {
            let after = read.last().map_or(0, |event| event.seq);
            let next = queue.events(after, 3).expect(READS);
            assert!(next.len() <= 3);
            if next.is_empty() {
                break;
            }
            read.extend(next);
        }
        assert_eq!(read.len(), (round + 1) * 5);
    }
    assert!(read.iter().map(|event| event.seq).eq(1..=20));
    change(queue, cancel("x#1"));
    assert_eq!(queue.events(20, 9).expect(READS).len(), 1);
    assert_eq!(queue.events(u64::MAX, 9).expect(READS), []);
    assert_eq!(queue.events(0, 0).expect(READS), []);
}
