use bij_core::RunEnd;
use insta::{assert_json_snapshot, assert_snapshot};

use super::*;
use crate::view::queue::tests::entry;

fn text(why: Why) -> String {
    let mut out = Vec::new();
    WhyPage(why).text(&mut out, &Format::for_test()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_closed_gate_is_shown_with_what_opens_it() {
    let gates = [
        ("hold", "held by bob"),
        ("paused", "admission was paused by bob"),
        ("slots", "4 of 4 slots are taken"),
        ("group-slots", "2 of 2 slots of group night are taken"),
        ("memory", "claims 8.0G of memory, 2.0G of the budget of 24.0G are free"),
        ("memory-available", "needs 9.0G of memory, the machine has 3.0G available"),
        ("memory-pressure", "memory pressure is 40%, nothing starts above 20%"),
        ("gpu", "the GPU is used by a#1"),
        ("dependency", "waits for the success of calibrate, which ended as gave-up"),
        ("not-before", "not before 2026-11-24T00:00:00Z"),
        ("boot-grace", "the machine has just booted, 20s to go"),
        ("back-off", "put off until 2026-11-24T00:00:00Z after a failed start: no"),
        ("same-experiment", "train.12#1 is up"),
        ("turn", "the machine is kept free for big#1"),
        ("heat", "the board has 81 °C, nothing starts above 75 °C"),
    ];
    let entry = QueueEntry {
        priority: 5,
        group: "night".parse().unwrap(),
        gpu: GpuClaim::Exclusive,
        bypassed: 2,
        not_before: "2026-11-24T00:00:00Z".parse().ok(),
        after: Dependencies::All(vec![
            "calibrate".parse().unwrap(),
            "end:warm-up#2".parse().unwrap(),
        ]),
        ..entry("train.12#2", EntryState::Waiting, &gates)
    };
    let ahead = (1..=7).map(|number| format!("a#{number}").parse().unwrap()).collect();
    let why = Why { entry, ahead };
    assert_snapshot!(text(why.clone()));
    let first = why.entry.waiting_on[..1].into();
    let why = Why { entry: QueueEntry { waiting_on: first, ..why.entry }, ..why };
    assert_json_snapshot!(WhyPage(why));
}

#[test]
fn the_requester_of_a_stop_is_shown() {
    let stopped = QueueEntry {
        stop_requested_by: Some("al\u{1b}[31mice".to_owned()),
        ..entry("x#1", EntryState::Running, &[])
    };
    let text = text(Why { entry: stopped, ahead: Vec::new() });
    assert!(text.contains("\n       Stop: requested by alice\n"), "{text}");
}

#[test]
fn a_run_that_is_next_up_or_over_says_so() {
    let alone = |entry| text(Why { entry, ahead: Vec::new() });
    let over = QueueEntry {
        submitted: None,
        by: None,
        ended: Some(RunEnd::GaveUp),
        ..entry("x#1", EntryState::Ended, &[])
    };
    let pages = [
        alone(entry("x#1", EntryState::Waiting, &[])),
        alone(QueueEntry { now: true, memory: None, ..entry("x#1", EntryState::Running, &[]) }),
        alone(over),
    ];
    assert_snapshot!(pages.join("\n"));
}
