mod fake;
mod killing;
mod restraints;

use std::time::Duration;

use bij_core::{Limit, SubState, TimeSpan};

use super::*;
use crate::bus::Bus;
use fake::{Job, World, manager};

fn id() -> ExperimentId {
    ExperimentId::new("x").unwrap()
}

/// Connects to a model manager whose unit is in this state.
async fn units(world: World) -> (SystemdUnits, fake::Shared) {
    let (peer, shared) = manager(world).await;
    let root = tempfile::tempdir().unwrap();
    let bus = Bus::from_peer(peer, Duration::from_millis(50));
    (SystemdUnits::from_peer(bus, root.path()), shared)
}

fn up() -> World {
    World { active_state: "active".into(), sub_state: "running".into(), ..World::default() }
}

#[tokio::test]
async fn a_start_waits_for_its_own_job_even_if_the_signal_overtakes_the_answer() {
    let world = World { job: Job::EndsAtOnce("done"), after: "active", ..World::default() };
    let (units, shared) = units(world).await;
    assert_eq!(units.start(&id()).await.unwrap(), Started::Up);
    let calls = shared.calls();
    let index = |name: &str| calls.iter().position(|call| call == name).unwrap();
    assert!(index("Subscribe") < index("StartUnit"), "{calls:?}");
    assert!(index("RefUnit") < index("StartUnit") && index("StartUnit") < index("UnrefUnit"));
    assert!(index("ResetFailedUnit") < index("StartUnit"));
}

#[tokio::test]
async fn the_calls_of_a_start_are_sent_without_waiting_in_between() {
    // This manager answers the other calls only after `StartUnit` was sent.
    let world = World { job: Job::ComesFirst("done"), after: "active", ..World::default() };
    let (units, shared) = units(world).await;
    assert_eq!(units.start(&id()).await.unwrap(), Started::Up);
    let mut before: Vec<String> =
        shared.calls().into_iter().take_while(|call| call != "StartUnit").collect();
    before.sort();
    assert_eq!(before, ["ListUnitsByNames", "RefUnit", "ResetFailedUnit", "Subscribe"]);
}

#[tokio::test]
async fn a_lost_signal_does_not_hang_the_start() {
    let world = World { job: Job::EndsWithoutSignal, after: "active", ..World::default() };
    assert_eq!(units(world).await.0.start(&id()).await.unwrap(), Started::Up);
    let world = World { job: Job::EndsWithoutSignal, after: "failed", ..World::default() };
    let error = units(world).await.0.start(&id()).await.unwrap_err();
    assert!(matches!(error, UnitError::Job { verb: "start", .. }), "{error:?}");
}

#[tokio::test]
async fn a_failed_job_gives_its_result() {
    for result in ["failed", "timeout", "dependency", "a-new-word"] {
        let world = World { job: Job::EndsAtOnce(result), after: "failed", ..World::default() };
        let error = units(world).await.0.start(&id()).await.unwrap_err();
        let UnitError::Job { result: found, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, result);
    }
}

#[tokio::test]
async fn a_refusing_condition_is_a_skip_and_a_quick_end_is_not() {
    let skipped = World {
        job: Job::EndsAtOnce("done"),
        after: "inactive",
        condition: Some(false),
        ..World::default()
    };
    assert_eq!(units(skipped).await.0.start(&id()).await.unwrap(), Started::Skipped);
    // It ran, ended well and was unloaded: loaded anew, its conditions were never checked.
    let quick = World { job: Job::EndsAtOnce("done"), after: "inactive", ..World::default() };
    assert_eq!(units(quick).await.0.start(&id()).await.unwrap(), Started::Up);
}

#[tokio::test]
async fn a_condition_that_could_not_be_run_is_no_skip() {
    let statuses = [(1, true), (238, false), (127, false), (101, false)];
    // systemd 247 gives such a job the result `skipped`, 252 gives it `done`.
    for (result, (status, skipped)) in
        ["done", "skipped"].into_iter().flat_map(|result| statuses.map(|status| (result, status)))
    {
        let world = World {
            job: Job::EndsAtOnce(result),
            after: "inactive",
            condition: Some(false),
            condition_status: status,
            ..World::default()
        };
        match units(world).await.0.start(&id()).await {
            Ok(started) => assert_eq!((started, skipped), (Started::Skipped, true)),
            Err(error @ UnitError::NotPrepared { .. }) => {
                assert!(!skipped, "{error}");
                assert!(error.to_string().contains(&status.to_string()), "{error}");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_caller_without_the_right_to_start_gets_an_error() {
    let world = World { denied: true, ..World::default() };
    let (units, _) = units(world).await;
    let error = units.start(&id()).await.unwrap_err();
    let UnitError::Denied { action, .. } = error else { panic!("{error:?}") };
    assert_eq!(action, "start x");
}

#[tokio::test]
async fn starting_an_active_unit_or_stopping_an_inactive_one_does_nothing() {
    let (units_up, shared) = units(up()).await;
    assert_eq!(units_up.start(&id()).await.unwrap(), Started::AlreadyUp);
    assert!(!shared.calls().contains(&"StartUnit".to_owned()));
    let (units_down, shared) = units(World::default()).await;
    assert_eq!(units_down.stop(&id()).await.unwrap(), Outcome::Unchanged);
    assert!(!shared.calls().contains(&"StopUnit".to_owned()));
}

#[tokio::test]
async fn a_start_does_not_wait_for_the_next_automatic_restart() {
    let world = World {
        active_state: "activating".into(),
        sub_state: "auto-restart".into(),
        job: Job::EndsAtOnce("done"),
        after: "active",
        ..World::default()
    };
    let (units, shared) = units(world).await;
    assert_eq!(units.start(&id()).await.unwrap(), Started::Up);
    let calls = shared.calls();
    assert!(calls.contains(&"RestartUnit".to_owned()) && !calls.contains(&"StartUnit".to_owned()));
}

#[tokio::test]
async fn a_start_joins_the_queued_job_of_an_automatic_restart() {
    let world = World {
        active_state: "activating".into(),
        sub_state: "auto-restart-queued".into(),
        own_job: 7,
        job: Job::EndsAtOnce("done"),
        after: "active",
        ..World::default()
    };
    let (units, shared) = units(world).await;
    assert_eq!(units.start(&id()).await.unwrap(), Started::Up);
    let calls = shared.calls();
    assert!(calls.contains(&"StartUnit".to_owned()) && !calls.contains(&"RestartUnit".to_owned()));
    assert!(!calls.iter().any(|call| call.starts_with("ResetFailed")), "its counters stay");
}

#[tokio::test]
async fn without_a_template_or_a_drop_in_there_is_no_experiment() {
    let world = World { load_state: "not-found".into(), ..World::default() };
    let error = units(world).await.0.start(&id()).await.unwrap_err();
    assert!(matches!(error, UnitError::NotFound(_)), "{error:?}");
    // The bare template can be started; it only reports why it runs nothing, which is no start.
    let error = units(World { defined: false, ..World::default() }).await.0.start(&id()).await;
    assert!(matches!(error, Err(UnitError::NotFound(_))), "{error:?}");
}

#[tokio::test]
async fn the_error_of_a_unit_that_is_not_loaded_has_a_reason_and_a_remedy() {
    for (word, says, helps) in [
        ("masked", "is masked", "systemctl unmask brain-experiment@x.service"),
        ("bad-setting", "bad setting", "systemctl status brain-experiment@x.service"),
        ("error", "cannot be loaded", "systemctl cat brain-experiment@x.service"),
        ("strange", "\"strange\"", "daemon-reload"),
    ] {
        let world = World { load_state: word.into(), ..World::default() };
        let (units, shared) = units(world).await;
        let error = units.start(&id()).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.remedy().unwrap().contains(helps), "{error:?}");
        assert!(!shared.calls().contains(&"StartUnit".to_owned()), "no job can help");
    }
}

#[tokio::test]
async fn a_status_is_read_from_both_interfaces() {
    let (units, _) = units(World { restarts: 2, ..up() }).await;
    let status = units.status(&id()).await.unwrap();
    assert_eq!(status.active_state, ActiveState::Active);
    assert_eq!(status.sub_state, SubState::Running);
    assert_eq!((status.restarts, status.main_pid), (Some(2), Some(4711)));
    assert_eq!(status.enabled, Some(true));
    assert_eq!(status.invocation.unwrap().to_string(), "07".repeat(16));
    assert_eq!(status.result, None, "it has not ended yet");
    let since = bij_core::Timestamp::from_micros(TimeSpan::from_secs(9).as_micros().cast_signed());
    assert_eq!(status.since, Some(since));
}

#[tokio::test]
async fn an_inactive_unit_with_a_start_job_is_due_to_start() {
    for (own_job, state) in [(0, "inactive"), (7, "inactive"), (7, "active")] {
        let world = World { own_job, active_state: state.into(), ..World::default() };
        let status = units(world).await.0.status(&id()).await.unwrap();
        assert_eq!(status.start_due, own_job == 7 && state == "inactive", "{own_job} {state}");
    }
}

#[tokio::test]
async fn a_list_costs_the_same_number_of_calls_whatever_its_length() {
    for listed in [0, 3, 50] {
        let (units, shared) = units(World { listed, ..up() }).await;
        assert_eq!(units.list().await.unwrap().len(), listed);
        assert_eq!(shared.calls(), ["ListUnitsByPatterns"], "and one property");
    }
}

#[tokio::test]
async fn enabling_an_enabled_unit_reloads_nothing() {
    let (units, shared) = units(World::default()).await;
    assert_eq!(units.set_enabled(&id(), true).await.unwrap(), Outcome::Changed);
    assert_eq!(units.set_enabled(&id(), true).await.unwrap(), Outcome::Unchanged);
    let enable = "EnableUnitFiles brain-experiment@x.service brain-experiment.target";
    assert_eq!(shared.calls(), [enable, "Reload", enable]);
}

#[tokio::test]
async fn the_settings_in_force_are_those_of_the_manager() {
    let override_conf = "/etc/systemd/system/brain-experiment@x.service.d/override.conf".to_owned();
    let world = World { drop_ins: vec![override_conf.clone()], ..World::default() };
    let settings = units(world).await.0.settings_in_force(&id()).await.unwrap();
    let command = Some(vec!["/bin/sleep".to_owned(), "600".to_owned()]);
    assert_eq!(
        settings,
        SettingsInForce {
            stamp: Some("0".to_owned()),
            drop_ins: vec![override_conf],
            command,
            restart: Some("no".to_owned()),
            delay: Some(TimeSpan::from_secs(7)),
            burst: Some(9),
            interval: Some(Limit::Max),
            time: Some(Limit::At(TimeSpan::from_secs(60))),
        }
    );
}
