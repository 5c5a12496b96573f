//! Verbs that read and change the queue.

use bij_core::TimeSpan;
use serde_json::json;

use super::bij::Bij;
use super::model::Coordinator;

#[test]
fn the_queue_is_listed_with_reasons_and_filtered() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    let result = bij.call(&["queue"]).err;
    assert_eq!(result, "No runs in the queue. 0 of 4 slots taken, 0B of memory claimed.\n");
    assert_eq!(bij.call(&["--json", "queue"]).json(), json!([]));
    coordinator.model.put(&["a", "b", "a"]);
    let result = bij.call(&["queue"]);
    assert_eq!(result.code, 0, "{result:?}");
    assert!(result.err.starts_with("3 runs: 3 waiting. 0 of 4 slots"), "{result:?}");
    let names: Vec<&str> =
        result.out.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["a#1", "b#1", "a#2"]);
    assert!(result.out.contains("4 of 4 slots are taken"), "{result:?}");
    let one = bij.call(&["--json", "queue", "b"]).json();
    assert_eq!(one.as_array().unwrap().len(), 1);
    for key in ["run", "experiment", "state", "priority", "group", "submitted", "waiting_on"] {
        assert!(one[0].get(key).is_some(), "{key} is not in {one}");
    }
    let gate = &one[0]["waiting_on"][0];
    for key in ["gate", "need", "have", "since", "text"] {
        assert!(gate.get(key).is_some(), "{key} is not in {gate}");
    }
    assert_eq!(bij.call(&["--json", "queue", "--state", "held"]).json(), json!([]));
    assert_eq!(bij.call(&["--json", "queue", "--group", "night"]).json(), json!([]));
    assert_eq!(bij.call(&["queue", "--state", "odd"]).code, 2);
}

#[test]
fn ten_thousand_runs_are_listed_whole() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    let ids: Vec<String> = (0..10_000).map(|number| format!("x{number}")).collect();
    coordinator.model.put(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let result = bij.call(&["queue"]);
    assert!(result.err.starts_with("10000 runs: 10000 waiting. "), "{}", result.err);
    assert_eq!(result.out.lines().count(), 10_001);
}

#[test]
fn why_shows_gates_and_the_runs_ahead() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["a", "b"]);
    let why = bij.call(&["why", "b"]);
    assert!(why.out.starts_with("b#1 waits for one gate\n"), "{why:?}");
    assert!(why.out.contains("Ahead: a#1\n") && why.out.contains("slots: 4 of 4"), "{why:?}");
    let json = bij.call(&["--json", "why", "brain-experiment@b.service"]).json();
    assert_eq!((&json["experiment"], &json["run"]), (&json!("b"), &json!(1)));
    assert_eq!(json["ahead"], json!(["a#1"]));
    // Warnings about the coordinator may explain why no run starts.
    coordinator.model.state().troubles = vec!["the disk is full".to_owned()];
    for words in [["why", "b"].as_slice(), &["queue"], &["--json", "queue"]] {
        let result = bij.call(words);
        assert!(result.err.ends_with("warning: the disk is full\n"), "{result:?}");
    }
    let missing = bij.call(&["why", "c"]);
    assert_eq!(missing.code, 102, "{missing:?}");
    assert_eq!(missing.err, "error: there is no run c\nhint: `bij queue` lists them\n");
}

#[test]
fn each_verb_sends_its_request() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["a", "b", "b"]);
    for (words, request, text) in [
        ("hold a b#1", "hold: a b#1", "a#1: held\nb#1: held\n"),
        ("hold a b#1", "hold: a b#1", "a#1: already held\nb#1: already held\n"),
        ("release brain-experiment@a.service", "release: a", "a#1: released\n"),
        ("requeue b", "requeue: b", "b#2: requeued\n"),
        ("priority -5 a", "priority -5: a", "a#1: has priority -5\n"),
        ("move b a --first", "move first: b a", "b#2: moved\na#1: moved\n"),
        ("move a --last", "move last: a", "a#1: moved\n"),
        // The target is sent with its number, so that a run submitted meanwhile does not become the target.
        ("move a --before b", "move before b#2: a", "a#1: moved\n"),
        ("move a --behind b#1", "move behind b#1: a", "a#1: moved\n"),
        ("cancel a", "cancel: a", "a#1: cancelled\n"),
    ] {
        let done = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, done.err.as_str(), done.out.as_str()), (0, text, ""), "{words}");
        assert_eq!(coordinator.model.state().requests.last().unwrap(), request);
    }
    let json = bij.call(&["--json", "--quiet", "hold", "b#2"]);
    assert_eq!(json.json(), json!([{"run": "b#2", "changed": true}]), "{json:?}");
    for (words, code) in [
        ("hold", 2),
        ("hold c", 102),
        ("hold a#0", 2),
        ("move a", 2),
        ("move a --first --last", 2),
        ("move a --before c", 102),
        ("priority high a", 2),
    ] {
        let result = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(result.code, code, "{words}: {result:?}");
    }
}

#[test]
fn an_edit_sends_only_the_terms_that_change() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["a", "b"]);
    let result = bij.call(&["edit", "a", "b", "--after-none", "--any-time"]);
    assert_eq!((result.code, result.err.as_str()), (0, "a#1: edited\nb#1: edited\n"), "{result:?}");
    let words = "edit a --priority 7 --group night --after-any x,y --not-before +1h --not-now";
    assert_eq!(bij.call(&words.split(' ').collect::<Vec<_>>()).code, 0);
    let state = coordinator.model.state();
    let [first, _, last] = state.edits.as_slice() else { panic!("{:?}", state.edits) };
    assert_eq!(
        serde_json::to_value(first).unwrap(),
        json!({
            "priority": null, "group": null, "after": {"all": []}, "not_before": null,
            "delay": null, "any_time": true, "now": null
        })
    );
    assert_eq!((last.priority, last.now), (Some(7), Some(false)));
    assert_eq!(serde_json::to_value(&last.after).unwrap(), json!({"any": ["x", "y"]}));
    assert_eq!((last.not_before, last.any_time), (None, false));
    assert_eq!(last.delay, Some(TimeSpan::from_secs(3600)), "a span is counted by the coordinator");
    drop(state);
    for words in
        ["edit a", "edit --priority 1", "edit a --after x --after-none", "edit a --now --not-now"]
    {
        let result = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(result.code, 2, "{words}: {result:?}");
    }
    let half = bij.call(&["--json", "edit", "a", "c", "--now"]);
    assert_eq!(half.code, 102, "{half:?}");
    assert_eq!(half.json()[0]["experiment"], "a", "the runs that were edited are printed");
}

#[test]
fn groups_are_set_up_listed_and_removed() {
    let bij = Bij::new();
    let _coordinator = Coordinator::start(&bij);
    assert_eq!(bij.call(&["groups"]).err, "No groups.\n");
    let set = ["groups", "set", "night", "--slots", "2"];
    assert_eq!(bij.call(&set).err, "night: has 2 slots\n");
    assert_eq!(bij.call(&set).err, "night: already has 2 slots\n");
    let list = bij.call(&["groups"]);
    assert_eq!(
        list.out,
        "GROUP  SLOTS  SET BY      RUNNING  WAITING\nnight      2  bij groups        0        0\n",
        "{list:?}"
    );
    assert_eq!(bij.call(&["--json", "groups"]).json()[0]["slots"], 2);
    let json = bij.call(&["--json", "groups", "set", "night", "--slots", "infinity"]);
    assert_eq!(
        (json.json(), json.err.as_str()),
        (json!({"changed": true}), "night: has no limit\n")
    );
    assert_eq!(bij.call(&["groups", "remove", "night"]).err, "night: removed\n");
    assert_eq!(bij.call(&["groups", "remove", "night"]).err, "night: was not set up\n");
    assert_eq!(bij.call(&["groups", "set", "night", "--slots", "many"]).code, 2);
    assert_eq!(bij.call(&["groups", "set", "night"]).code, 2);
}

#[test]
fn admission_is_paused_and_resumed() {
    let bij = Bij::new();
    let _coordinator = Coordinator::start(&bij);
    for (words, text) in [
        (vec!["resume"], "Admission was not paused.\n"),
        (vec!["pause"], "Admission is paused; runs that are up continue.\n"),
        (vec!["pause", "night"], "Admission of group night was already paused.\n"),
        (vec!["resume"], "Admission is resumed.\n"),
    ] {
        let done = bij.call(&words);
        assert_eq!((done.code, done.err.as_str(), done.out.as_str()), (0, text, ""), "{words:?}");
    }
}

#[test]
fn an_error_in_the_settings_names_its_location() {
    let bij = Bij::new();
    let _coordinator = Coordinator::start(&bij);
    let result = bij.call(&["reload"]);
    assert_eq!(result.code, 2, "{result:?}");
    assert_eq!(
        result.err,
        "error: coordinator.toml:3: there is no key `solts`\nhint: did you mean `slots`?\n"
    );
}
