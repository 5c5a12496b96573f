use bij_core::RunEnd;
use bij_core::queue::{Amount, Origin};
use bij_core::request::WaitReason;
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
        place: Some(7),
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
    list.text(&mut out, &Format { width, ..Format::for_test() }).unwrap();
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
