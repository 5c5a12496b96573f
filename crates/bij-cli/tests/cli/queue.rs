//! Looking at the queue and changing it.

use bij_core::TimeSpan;
use serde_json::json;

use super::bij::Bij;
use super::model::Coordinator;

#[test]
fn the_queue_is_listed_with_reasons_and_filtered() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    let said = bij.call(&["queue"]).err;
    assert_eq!(said, "No runs in the queue. 0 of 4 slots taken, 0B of memory claimed.\n");
    assert_eq!(bij.call(&["--json", "queue"]).json(), json!([]));
    coordinator.model.put(&["a", "b", "a"]);
    let said = bij.call(&["queue"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.starts_with("3 runs: 3 waiting. 0 of 4 slots"), "{said:?}");
    let names: Vec<&str> =
        said.out.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["a#1", "b#1", "a#2"]);
    assert!(said.out.contains("4 of 4 slots are taken"), "{said:?}");
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
    let said = bij.call(&["queue"]);
    assert!(said.err.starts_with("10000 runs: 10000 waiting. "), "{}", said.err);
    assert_eq!(said.out.lines().count(), 10_001);
}

#[test]
fn why_tells_gates_and_who_is_ahead() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["a", "b"]);
    let why = bij.call(&["why", "b"]);
    assert!(why.out.starts_with("b#1 waits for one gate\n"), "{why:?}");
    assert!(why.out.contains("Ahead: a#1\n") && why.out.contains("slots: 4 of 4"), "{why:?}");
    let json = bij.call(&["--json", "why", "brain-experiment@b.service"]).json();
    assert_eq!((&json["experiment"], &json["run"]), (&json!("b"), &json!(1)));
    assert_eq!(json["ahead"], json!(["a#1"]));
    // Whoever wonders why nothing starts is told what is wrong with the coordinator.
    coordinator.model.known().troubles = vec!["the disk is full".to_owned()];
    for words in [["why", "b"].as_slice(), &["queue"], &["--json", "queue"]] {
        let said = bij.call(words);
        assert!(said.err.ends_with("warning: the disk is full\n"), "{said:?}");
    }
    let missing = bij.call(&["why", "c"]);
    assert_eq!(missing.code, 102, "{missing:?}");
    assert_eq!(missing.err, "error: there is no run c\nhint: `bij queue` lists them\n");
}

#[test]
fn each_verb_asks_for_what_it_says() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["a", "b", "b"]);
    for (words, asked, said) in [
        ("hold a b#1", "hold: a b#1", "a#1: held\nb#1: held\n"),
        ("hold a b#1", "hold: a b#1", "a#1: already held\nb#1: already held\n"),
        ("release brain-experiment@a.service", "release: a", "a#1: released\n"),
        ("requeue b", "requeue: b", "b#2: requeued\n"),
        ("priority -5 a", "priority -5: a", "a#1: has priority -5\n"),
        ("move b a --first", "move first: b a", "b#2: moved\na#1: moved\n"),
        ("move a --last", "move last: a", "a#1: moved\n"),
        // Beside whom is said by number, whatever is submitted meanwhile.
        ("move a --before b", "move before b#2: a", "a#1: moved\n"),
        ("move a --behind b#1", "move behind b#1: a", "a#1: moved\n"),
        ("cancel a", "cancel: a", "a#1: cancelled\n"),
    ] {
        let done = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, done.err.as_str(), done.out.as_str()), (0, said, ""), "{words}");
        assert_eq!(coordinator.model.known().asked.last().unwrap(), asked);
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
        let said = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(said.code, code, "{words}: {said:?}");
    }
}

#[test]
fn an_edit_says_only_what_is_to_change() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["a", "b"]);
    let said = bij.call(&["edit", "a", "b", "--after-none", "--any-time"]);
    assert_eq!((said.code, said.err.as_str()), (0, "a#1: edited\nb#1: edited\n"), "{said:?}");
    let words = "edit a --priority 7 --group night --after-any x,y --not-before +1h --not-now";
    assert_eq!(bij.call(&words.split(' ').collect::<Vec<_>>()).code, 0);
    let known = coordinator.model.known();
    let [first, _, last] = known.edits.as_slice() else { panic!("{:?}", known.edits) };
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
    drop(known);
    for words in
        ["edit a", "edit --priority 1", "edit a --after x --after-none", "edit a --now --not-now"]
    {
        let said = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(said.code, 2, "{words}: {said:?}");
    }
    let half = bij.call(&["--json", "edit", "a", "c", "--now"]);
    assert_eq!(half.code, 102, "{half:?}");
    assert_eq!(half.json()[0]["experiment"], "a", "what was done is told");
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
    for (words, said) in [
        (vec!["resume"], "Admission was not paused.\n"),
        (vec!["pause"], "Admission is paused; runs that are up continue.\n"),
        (vec!["pause", "night"], "Admission of group night was already paused.\n"),
        (vec!["resume"], "Admission is resumed.\n"),
    ] {
        let done = bij.call(&words);
        assert_eq!((done.code, done.err.as_str(), done.out.as_str()), (0, said, ""), "{words:?}");
    }
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    let bij = Bij::new();
    let _coordinator = Coordinator::start(&bij);
    let said = bij.call(&["reload"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(
        said.err,
        "error: coordinator.toml:3: there is no key `solts`\nhint: did you mean `slots`?\n"
    );
}
