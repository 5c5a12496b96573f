use bij_core::queue::{Amount, Origin};
use bij_core::request::WaitReason;
use bij_core::{Bytes, RunEnd};
use insta::{assert_json_snapshot, assert_snapshot};

use super::*;

/// Returns a run with these closed gates.
pub(crate) fn entry(run: &str, state: EntryState, gates: &[(&str, &str)]) -> QueueEntry {
    let run: bij_core::RunId = run.parse().unwrap();
    let waiting_on = gates.iter().map(|(gate, text)| WaitReason {
        gate: (*gate).into(),
        need: Some(Amount::Number(1)),
        have: Some(Amount::Number(0)),
        since: "2026-11-23T22:08:05Z".parse().unwrap(),
        text: (*text).into(),
    });
    QueueEntry {
        state,
        ended: None,
        submitted: "2026-11-23T21:10:05Z".parse().ok(),
        by: Some("alice (uid 1000)".to_owned()),
        origin: Some(Origin::Submit),
        position: Some(7),
        memory: "8G".parse().ok(),
        waiting_on: waiting_on.collect(),
        ..QueueEntry::ended(run, RunEnd::Success)
    }
}

fn queue() -> QueueList {
    let slots = ("slots", "4 of 4 slots are taken");
    let memory = ("memory", "claims 8.0G of memory, 2.0G of the budget of 24.0G are free");
    QueueList(vec![
        entry("amnesiac_001#3", EntryState::Running, &[]),
        QueueEntry {
            health: Some("stalled".to_owned()),
            health_reason: Some("no new step for 12min".to_owned()),
            ..entry("panopticon_003#1", EntryState::Running, &[])
        },
        QueueEntry {
            priority: 5,
            group: "night".parse().unwrap(),
            ..entry("train.12#1", EntryState::Waiting, &[slots, memory])
        },
        entry("unstable_002#7", EntryState::Held, &[("hold", "held by \u{1b}[31mbob")]),
    ])
}

fn text(list: &QueueList, width: Option<usize>) -> String {
    let mut out = Vec::new();
    list.text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn each_run_shows_what_it_waits_for() {
    assert_snapshot!(text(&queue(), None));
    assert_json_snapshot!(queue());
}

#[test]
fn the_requester_of_a_stop_is_shown_instead_of_the_health() {
    let stopped = QueueEntry {
        health: Some("stalled".to_owned()),
        health_reason: Some("no new step for 12min".to_owned()),
        stop_requested_by: Some("bob".to_owned()),
        ..entry("x#1", EntryState::Running, &[])
    };
    let text = text(&QueueList(vec![stopped]), None);
    assert!(text.ends_with("  stop requested by bob\n"), "{text}");
}

#[test]
fn on_a_narrow_terminal_runs_keep_their_names_and_their_reason() {
    assert_snapshot!(text(&queue(), Some(80)));
    assert_snapshot!(text(&queue(), Some(40)));
}

#[test]
fn the_summary_counts_each_state() {
    assert_eq!(queue().summary(), "4 runs: 2 running, 1 waiting, 1 held.");
    assert_eq!(QueueList(Vec::new()).summary(), "No runs in the queue.");
    assert_eq!(text(&QueueList(Vec::new()), None), "");
}

#[test]
fn capacity_and_warnings_are_reported() {
    let status = CoordinatorStatus {
        version: String::new(),
        since: "2026-11-23T22:00:00Z".parse().unwrap(),
        seq: 1,
        waiting: 0,
        held: 0,
        running: 1,
        slots: Some(4),
        memory_budget: Some(Bytes::new(24 << 30)),
        memory_claimed: Bytes::new(8 << 30),
        gpu_memory: None,
        gpu_memory_why: None,
        paused_by: Some("alice".to_owned()),
        paused_since: None,
        troubles: vec!["the disk is full\u{1b}[2J".to_owned()],
    };
    assert_eq!(capacity_line(&status), "1 of 4 slots taken, 8.0G of 24.0G of memory claimed.");
    assert_eq!(
        coordinator_warnings(&status),
        ["no run starts: admission was paused by alice", "the disk is full"]
    );
    let unbounded = CoordinatorStatus {
        slots: None,
        memory_budget: None,
        paused_by: None,
        troubles: Vec::new(),
        ..status
    };
    assert_eq!(capacity_line(&unbounded), "1 up, 8.0G of memory claimed.");
    assert!(coordinator_warnings(&unbounded).is_empty());
}

#[test]
fn a_line_has_the_first_gate_only() {
    let two = entry("x#1", EntryState::Waiting, &[("slots", "full"), ("memory", "none")]);
    assert_eq!(first_gate(&two.waiting_on), "full (+1)");
    assert_eq!(first_gate(&two.waiting_on[..1]), "full");
    assert_eq!(first_gate(&[]), "");
}
