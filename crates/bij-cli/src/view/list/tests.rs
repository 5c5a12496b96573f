use insta::assert_snapshot;

use super::*;
use crate::view::status::ExperimentFacts;
use crate::view::status::tests::{crashed, running, without_unit};

fn list() -> List {
    let named = |facts: ExperimentFacts, id: &str| {
        Status::new(ExperimentFacts { id: bij_core::ExperimentId::new(id).unwrap(), ..facts })
    };
    List(vec![
        named(running(), "amnesiac_001"),
        named(crashed(), "unstable_002"),
        named(without_unit(), "a_very_long_name_of_an_experiment_that_nobody_would_type"),
    ])
}

fn text(width: Option<usize>) -> String {
    let mut out = Vec::new();
    list().text(&mut out, &Format { width, ..Format::for_test() }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_shows_the_state_of_an_experiment() {
    assert_snapshot!(text(None));
}

#[test]
fn the_list_fits_the_terminal_and_keeps_ids_whole() {
    assert_snapshot!(text(Some(100)));
    let wide = text(Some(100));
    assert!(wide.lines().all(|line| line.chars().count() <= 100), "{wide}");
    assert!(wide.contains("a_very_long_name_of_an_experiment_that_nobody_would_type"));
}

#[test]
fn json_is_an_array_of_what_status_prints() {
    let json = serde_json::to_value(list()).unwrap();
    assert_eq!(json[0], serde_json::to_value(Status::new(running())).unwrap());
}
