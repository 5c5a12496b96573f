use bij_core::{AttemptBoard, Celsius, Hottest, Millijoules, TimeSpan, Uptime};
use insta::{assert_json_snapshot, assert_snapshot};

use super::*;
use crate::command::status::tests::{attempt, oom, stopped};

fn attempts() -> Vec<Attempt> {
    vec![
        attempt("amnesiac_001#1", 1, Some(oom("2026-11-23T22:01:02Z"))),
        attempt("amnesiac_001#1", 2, Some(stopped("2026-11-23T22:05:00Z"))),
        attempt("amnesiac_001#2", 1, None),
    ]
}

fn text(history: &AttemptTable, width: Option<usize>) -> String {
    let mut out = Vec::new();
    history.text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_attempt_shows_its_cause_and_proof() {
    let history = AttemptTable::of_one(attempts());
    assert_snapshot!(text(&history, None));
    assert_snapshot!(text(&history, Some(72)));
    assert_json_snapshot!(history);
}

#[test]
fn the_boards_figures_are_shown_if_the_terminal_is_wide() {
    let mut attempts = attempts();
    attempts[0].board = Some(AttemptBoard {
        hottest: Some(Hottest { zone: "tj".to_owned(), celsius: Celsius::from_millis(86_531) }),
        energy: Some(Millijoules::new(1_234_567)),
        throttled: Some(TimeSpan::from_secs(7)),
        over_current: Some(2),
    });
    let history = AttemptTable::of_one(attempts);
    assert_snapshot!(text(&history, None));
    assert!(!text(&history, Some(80)).contains("BOARD"));
    assert_json_snapshot!(serde_json::to_value(&history).unwrap()[0]["board"]);
}

#[test]
fn only_the_history_of_several_names_them_in_json() {
    let json = |history: &AttemptTable| serde_json::to_value(history).unwrap();
    assert!(json(&AttemptTable::of_one(attempts()))[0].get("id").is_none());
    assert_eq!(json(&AttemptTable::of_several(attempts()))[0]["id"], "amnesiac_001");
}

#[test]
fn the_span_of_an_attempt_survives_a_clock_that_goes_back() {
    // By the clock it ended before it began; the witness measured 62 s.
    let history = AttemptTable::of_one(vec![attempt("x#1", 1, Some(oom("2026-11-23T21:00:00Z")))]);
    assert!(text(&history, None).contains("1min 2s"));
}

#[test]
fn the_age_of_an_open_attempt_is_counted_by_the_clock_of_the_boot() {
    let mut open = attempt("x#1", 1, None);
    // The clock was set forward by years since; the boot has lasted for 1000 s.
    open.started = "1970-01-01T00:00:09Z".parse().unwrap();
    open.started_uptime = Some(Uptime::from_secs(940));
    assert!(text(&AttemptTable::of_one(vec![open]), None).contains(" 1min "));
}
