//! Waiting runs in the output of verbs about experiments.

use bij_core::RunEnd;
use bij_core::request::EntryState;
use serde_json::json;

use super::bij::{Bij, wait_until};
use super::model::Coordinator;

const X: &str = "command = [\"true\"]\n";

#[test]
fn status_list_and_show_have_the_first_gate() {
    let bij = Bij::new();
    bij.define("x.toml", X);
    bij.define("y.toml", X);
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x", "x"]);
    let status = bij.call(&["status", "x"]);
    assert!(
        status.out.contains("     Queued: x#1, waiting: 4 of 4 slots are taken\n"),
        "{status:?}"
    );
    let json = bij.call(&["--json", "status", "x"]).json();
    assert_eq!(json["state"], "inactive", "systemd's word stays");
    assert_eq!((&json["queued"]["run"], &json["queued"]["state"]), (&json!(1), &json!("waiting")));
    assert_eq!(json["queued"]["waiting_on"][0]["gate"], "slots");
    let list = bij.call(&["list"]);
    let line = |id: &str| list.out.lines().find(|line| line.contains(id)).unwrap();
    assert!(line("x").contains("queued") && line("x").ends_with("4 of 4 slots are taken"));
    assert!(line("y").contains("inactive"), "{list:?}");
    assert_eq!(bij.call(&["--json", "list"]).json()[1]["queued"], json!(null));
    let show = bij.call(&["show", "x", "-p", "QueuedRun,QueuedState,QueuedReason"]);
    assert_eq!(show.out, "QueuedRun=1\nQueuedState=waiting\nQueuedReason=4 of 4 slots are taken\n");
    // Runs that are up or over are not shown.
    coordinator.model.end("x#1", RunEnd::Success);
    coordinator.model.state().runs[1].state = EntryState::Running;
    assert_eq!(bij.call(&["--json", "status", "x"]).json()["queued"], json!(null));
}

#[test]
fn a_start_that_has_to_wait_is_queued_and_that_is_success() {
    let bij = Bij::new();
    bij.define("x.toml", X);
    let coordinator = Coordinator::start(&bij);
    let result = bij.call(&["start", "x", "-E", "SEED=7"]);
    assert_eq!(
        (result.code, result.err.as_str()),
        (0, "x: queued as x#1, waiting: 4 of 4 slots are taken\n"),
        "{result:?}"
    );
    let json = bij.call(&["--json", "start", "x", "--now"]);
    assert_eq!(json.json()[0]["outcome"], "skipped", "{json:?}");
    assert_eq!(json.json()[0]["queued"]["run"], 2);
    let state = coordinator.model.state();
    assert!(state.submitted[0].extras.contains("SEED") && !state.submitted[0].now);
    assert!(state.submitted[1].extras.is_empty() && state.submitted[1].now);
}

#[test]
fn a_start_stays_until_it_is_up_or_over() {
    let bij = Bij::new();
    bij.define("x.toml", X);
    let coordinator = Coordinator::start(&bij);
    coordinator.model.state().open = true;
    let child = bij.spawn(&["start", "x", "--now"]);
    let taken = || coordinator.model.state().runs.len() == 1;
    wait_until("it is submitted", taken);
    coordinator.model.state().runs[0].state = EntryState::Running;
    coordinator.model.announce(bij_core::queue::EventKind::AttemptBegun, Some("x#1"));
    let result = super::bij::CallResult::from(child.wait_with_output().unwrap());
    assert_eq!((result.code, result.err.as_str()), (0, "x: started as x#1\n"), "{result:?}");
    let child = bij.spawn(&["start", "x", "--now"]);
    wait_until("it is submitted", || coordinator.model.state().runs.len() == 2);
    coordinator.model.end("x#2", RunEnd::GaveUp);
    let result = super::bij::CallResult::from(child.wait_with_output().unwrap());
    assert_eq!(result.code, 1, "{result:?}");
    assert!(
        result.err.contains("error: x#2 ended: gave-up\nhint: see `bij status x`"),
        "{result:?}"
    );
}

#[test]
fn stopping_an_experiment_that_is_not_up_names_its_run_in_the_queue() {
    let bij = Bij::new();
    bij.define("x.toml", X);
    let coordinator = Coordinator::start(&bij);
    assert_eq!(bij.call(&["stop", "x"]).err, "x: was not up\n");
    coordinator.model.put(&["x"]);
    let result = bij.call(&["stop", "x"]);
    assert_eq!(result.code, 0, "{result:?}");
    assert!(result.err.starts_with("x: was not up; x#1 is still in the queue, `bij --root "));
    assert!(result.err.ends_with(" cancel x#1` removes it\n"), "{result:?}");
}
