//! Verbs that are about experiments tell of runs that wait.

use bij_api::message::State;
use bij_core::RunEnd;
use serde_json::json;

use super::bij::{Bij, wait_until};
use super::model::Coordinator;

const X: &str = "command = [\"true\"]\n";

#[test]
fn status_list_and_show_tell_the_first_gate() {
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
    // What runs, and what is over, does not wait.
    coordinator.model.end("x#1", RunEnd::Success);
    coordinator.model.known().runs[1].state = State::Running;
    assert_eq!(bij.call(&["--json", "status", "x"]).json()["queued"], json!(null));
}

#[test]
fn a_start_that_has_to_wait_is_queued_and_that_is_success() {
    let bij = Bij::new();
    bij.define("x.toml", X);
    let coordinator = Coordinator::start(&bij);
    let said = bij.call(&["start", "x", "-E", "SEED=7"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (0, "x: queued as x#1, waiting: 4 of 4 slots are taken\n"),
        "{said:?}"
    );
    let json = bij.call(&["--json", "start", "x", "--now"]);
    assert_eq!(json.json()[0]["outcome"], "skipped", "{json:?}");
    assert_eq!(json.json()[0]["queued"]["run"], 2);
    let known = coordinator.model.known();
    assert!(known.submitted[0].extras.contains("SEED") && !known.submitted[0].now);
    assert!(known.submitted[1].extras.is_empty() && known.submitted[1].now);
}

#[test]
fn a_start_stays_until_it_is_up_or_over() {
    let bij = Bij::new();
    bij.define("x.toml", X);
    let coordinator = Coordinator::start(&bij);
    coordinator.model.known().open = true;
    let child = bij.spawn(&["start", "x", "--now"]);
    let taken = || coordinator.model.known().runs.len() == 1;
    wait_until("it is submitted", taken);
    coordinator.model.known().runs[0].state = State::Running;
    coordinator.model.tell(bij_core::queue::EventKind::AttemptBegun, Some("x#1"));
    let said = super::bij::Said::from(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (0, "x: started as x#1\n"), "{said:?}");
    let child = bij.spawn(&["start", "x", "--now"]);
    wait_until("it is submitted", || coordinator.model.known().runs.len() == 2);
    coordinator.model.end("x#2", RunEnd::GaveUp);
    let said = super::bij::Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("error: x#2 ended: gave-up\nhint: see `bij status x`"), "{said:?}");
}

#[test]
fn stopping_what_is_not_up_tells_of_its_run_in_the_queue() {
    let bij = Bij::new();
    bij.define("x.toml", X);
    let coordinator = Coordinator::start(&bij);
    assert_eq!(bij.call(&["stop", "x"]).err, "x: was not up\n");
    coordinator.model.put(&["x"]);
    let said = bij.call(&["stop", "x"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.starts_with("x: was not up; x#1 is still in the queue, `bij --root "));
    assert!(said.err.ends_with(" cancel x#1` removes it\n"), "{said:?}");
}
