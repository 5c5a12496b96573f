use std::collections::BTreeMap;

use bij_core::{AttemptNumber, RunNumber};
use insta::{assert_json_snapshot, assert_snapshot};

use super::*;

fn event(seq: u64, kind: EventKind, run: Option<&str>, data: &[(&str, &str)]) -> EventLine {
    let run: Option<bij_core::RunId> = run.map(|run| run.parse().unwrap());
    let data: BTreeMap<String, String> =
        data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    EventLine(Event {
        seq,
        at: "2026-11-23T22:08:05Z".parse().unwrap(),
        kind,
        experiment: run.as_ref().map(|run| run.experiment.clone()),
        run: run.as_ref().map(|run| run.number),
        attempt: (kind == EventKind::AttemptEnded).then_some(AttemptNumber(2)),
        data,
    })
}

#[test]
fn an_event_is_one_line_whatever_its_data() {
    let events = [
        event(41, EventKind::Submitted, Some("x#3"), &[("by", "alice (uid 1000)")]),
        event(
            42,
            EventKind::AttemptEnded,
            Some("x#3"),
            &[("cause", "oom-kill"), ("crash", "true")],
        ),
        event(43, EventKind::Paused, None, &[("by", "bob"), ("group", "night")]),
        event(44, EventKind::Health, Some("x#3"), &[("text", "\u{1b}[2Jno step\nsince \"then\"")]),
    ];
    let mut out = Vec::new();
    for event in &events {
        event.text(&mut out, &Format::for_test()).unwrap();
    }
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), events.len());
    assert_snapshot!(text);
    assert_json_snapshot!(events);
    let alone = event(45, EventKind::Reloaded, None, &[]).0;
    assert_eq!((alone.run, alone.experiment), (None::<RunNumber>, None));
}
