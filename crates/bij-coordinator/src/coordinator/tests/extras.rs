//! Extras of members.

use bij_core::queue::QueueState;
use bij_core::request::{Act, QueueEntry, Submit, SubmitOptions};
use bij_sim::Script;

use super::machine::*;
use crate::{RequestError, SubmitRequest};

fn with(extras: &str) -> Submit {
    Submit { extras: extras.to_owned(), ..Submit::new(id("a")) }
}

fn held() -> QueueState {
    QueueState::Held { by: "bij-coordinator".to_owned() }
}

#[test]
fn a_member_is_refused_what_the_definition_does_not_name_and_root_is_not() {
    let mut machine = Machine::new(1);
    machine.define_with("a", Script::runs(), |spec| spec.limits.memory = "1G".parse().ok());
    for (extras, named) in [
        ("environment.OTHER = '1'", "OTHER"),
        ("environment.PYTHONPATH = '/m'", "PYTHONPATH"),
        ("limits.memory = '2G'", "limits.memory"),
        ("config = '/m'", "config"),
    ] {
        let events = machine.event_count();
        let error = machine.request(vec![Submit::new(id("a")), with(extras)]).unwrap_err();
        assert!(matches!(error, RequestError::DeniedExtra { .. }), "{extras}: {error}");
        assert!(error.to_string().starts_with("alice may not "), "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(error.remedy().is_some());
        assert_eq!(machine.event_count(), events, "nothing is taken in");
        let now = machine.now();
        let dry_run = SubmitRequest {
            runs: vec![with(extras)],
            by: "uid 1000".to_owned(),
            options: SubmitOptions { dry_run: true },
        };
        assert!(machine.coordinator.submit(dry_run, now).is_err());
        let root = SubmitRequest::new("root", [with(extras)]);
        assert!(machine.coordinator.submit(root, now).is_ok(), "{extras}");
    }
    machine.request(vec![with("environment.SEED = '1'\nlimits.memory = '1M'")]).unwrap();
}

#[test]
fn a_users_own_coordinator_takes_what_the_user_adds() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    let by = "alice (uid 1000)";
    let request = || SubmitRequest::new(by, [with("environment.PYTHONPATH = '/m'")]);
    let now = machine.now();
    assert!(machine.coordinator.submit(request(), now).is_err());
    machine.make_own(1001);
    assert!(machine.coordinator.submit(request(), now).is_err());
    machine.make_own(1000);
    assert!(machine.coordinator.submit(request(), now).is_ok());
}

#[test]
fn a_run_is_held_if_the_definition_of_today_does_not_allow_its_extras() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.submit(&["b"]);
    machine.settle();
    machine.request(vec![with("environment.SEED = '1'")]).unwrap();
    machine.define_with("a", Script::runs(), |spec| spec.policy.environment = None);
    machine.act("b", &Act::Cancel).unwrap();
    machine.settle();
    assert_eq!(machine.state_of("a#1"), Some(held()));
    assert_eq!(machine.up(), [""; 0]);
    // Neither a release nor a start from elsewhere brings it past that.
    machine.act("a", &Act::Release).unwrap();
    let verdict = machine.admit("a");
    assert!(!verdict.admitted);
    assert!(verdict.text.unwrap().contains("alice may not set SEED"));
    assert_eq!(machine.state_of("a#1"), Some(held()));
    machine.define("a", Script::runs());
    machine.act("a", &Act::Release).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn entries_show_the_names_of_variables_and_no_values() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    let mut entries = machine.request(vec![with("environment.SEED = 's3cret'")]).unwrap();
    let now = machine.now();
    entries.extend(machine.coordinator.queue(now));
    entries.push(machine.coordinator.why(&"a".parse().unwrap(), now).unwrap().entry);
    assert_eq!(entries.len(), 3);
    for QueueEntry { extras, .. } in entries {
        assert!(extras.contains("SEED") && !extras.contains("s3cret"), "{extras}");
    }
}
