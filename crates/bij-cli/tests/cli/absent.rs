//! Without a coordinator: verbs that change the queue say how to start one, and reading still works.

use bij_core::port::{Change, RunQueue as _};
use bij_core::queue::{Origin, Submission, Terms};
use bij_core::{RunEnd, RunId};
use bij_store::Store;
use serde_json::{Value, json};

use super::bij::Bij;

#[test]
fn changing_verbs_end_with_104_and_a_remedy() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]\n");
    for words in [
        "submit x",
        "submit x --param n=1..3",
        "submit -- true",
        "hold x",
        "release x",
        "cancel x",
        "requeue x",
        "priority 1 x",
        "move x --first",
        "edit x --now",
        "pause",
        "resume",
        "groups",
        "groups set g --slots 1",
        "reload",
    ] {
        let result = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((result.code, result.out.as_str()), (104, ""), "{words}: {result:?}");
        assert!(
            result.err.starts_with("error: no coordinator runs here\nhint: "),
            "{words}: {result:?}"
        );
    }
    assert!(!bij.path("var/lib/brain-in-jar/definitions").exists(), "nothing was written");
}

/// Writes a run into the database, as a coordinator does.
pub(crate) fn leave(store: &mut Store, id: &str, priority: i32, held: Option<&str>) -> RunId {
    let submission = Submission {
        experiment: id.parse().unwrap(),
        terms: Terms { priority, ..Terms::default() },
        held: held.map(ToOwned::to_owned),
        extras: String::new(),
        by: "alice (uid 1000)".to_owned(),
        origin: Origin::Submit,
    };
    let taken = store.submit(&[submission], "2026-11-23T22:00:00Z".parse().unwrap());
    taken.unwrap().remove(0).run
}

pub(crate) fn store(bij: &Bij) -> Store {
    Store::open(bij.path("var/lib/brain-in-jar/state.db")).unwrap()
}

#[test]
fn the_queue_of_a_stopped_coordinator_is_listed_in_its_order() {
    let bij = Bij::new();
    let mut store = store(&bij);
    leave(&mut store, "a", 0, None);
    leave(&mut store, "b", 5, Some("bob"));
    leave(&mut store, "a", 0, None);
    let queue = bij.call(&["--json", "queue"]).json();
    let names: Vec<String> = queue
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            format!("{}#{} {}", run["experiment"].as_str().unwrap(), run["run"], run["state"])
        })
        .collect();
    assert_eq!(names, ["b#1 \"held\"", "a#1 \"waiting\"", "a#2 \"waiting\""]);
    assert_eq!(queue[0]["waiting_on"][0]["text"], "held by bob");
    assert_eq!(queue[1]["waiting_on"], json!([]), "the other gates are not known");
    let why = bij.call(&["--json", "why", "a"]).json();
    assert_eq!((&why["run"], &why["ahead"]), (&json!(2), &json!(["b#1", "a#1"])));
    let of_one = bij.call(&["--json", "queue", "b"]).json();
    assert_eq!(of_one.as_array().unwrap().len(), 1);
    let events = bij.call(&["--json", "events", "--since", "1"]);
    let kinds = events.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(kinds.map(|event| event["kind"].clone()).collect::<Vec<_>>(), ["submitted"; 2]);
    let status = bij.call(&["show", "b", "-p", "QueuedState", "--value"]);
    assert_eq!(status.code, 102, "b is not defined: {status:?}");
    bij.define("b.toml", "command = [\"true\"]\n");
    let status = bij.call(&["status", "b"]);
    assert!(status.out.contains("Queued: b#1, held: held by bob\n"), "{status:?}");
}

#[test]
fn a_run_that_never_had_an_attempt_is_known_when_it_is_over() {
    let bij = Bij::new();
    let mut store = store(&bij);
    for _ in 0..2 {
        let run = leave(&mut store, "a", 0, None);
        let end = Change::End { run, end: RunEnd::Cancelled, by: "bob".to_owned() };
        store.change(&[end], "2026-11-23T22:01:00Z".parse().unwrap()).unwrap();
    }
    let why = bij.call(&["why", "a"]);
    assert_eq!((why.code, why.out.as_str()), (0, "a#2 is over: cancelled\n"), "{why:?}");
    assert_eq!(bij.call(&["why", "a#1"]).out, "a#1 is over: cancelled\n");
    assert_eq!(bij.call(&["why", "a#3"]).code, 102);
    assert_eq!(bij.call(&["wait", "a"]).code, 1);
}

#[test]
fn reading_verbs_show_the_queue_on_disk() {
    let bij = Bij::new();
    let queue = bij.call(&["--json", "queue"]);
    assert_eq!((queue.code, queue.json()), (0, json!([])), "{queue:?}");
    assert!(queue.err.starts_with("warning: no coordinator runs here: "), "{queue:?}");
    assert!(queue.err.contains("on disk") && queue.err.contains("hint: "), "{queue:?}");
    assert_eq!(bij.call(&["events"]).code, 0);
    let why = bij.call(&["why", "x"]);
    assert_eq!(why.code, 102, "{why:?}");
    assert!(why.err.contains("there is no run x"), "{why:?}");
}
