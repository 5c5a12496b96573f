//! Up and down.

use bij_core::{Celsius, Percent, TimeSpan, Uptime};

use super::scene::{Scene, id, load, settings};
use crate::thermal::{
    Activity, Ladder, Restraint, RestraintChange, StopUrgency, ThermalAction, ThermalLevel,
    ThermalLoad, ThermalReason, ThermalSettings, ThresholdsTooClose,
};

fn names(steps: &[ThermalAction], step: &str) -> Vec<String> {
    let those = steps.iter().filter(|one| one.name() == step);
    those.filter_map(|one| one.experiment().map(ToString::to_string)).collect()
}

#[test]
fn thresholds_without_room_between_them_are_refused() {
    let (throttle, critical) = (Celsius::new(80), Celsius::new(80));
    let refused = ThermalSettings::new(throttle, critical, TimeSpan::from_secs(5));
    assert_eq!(refused, Err(ThresholdsTooClose { throttle, critical }));
    let defaults = ThermalSettings::try_from(&bij_core::CoordinatorSettings::default());
    assert_eq!(defaults, Ok(settings()));
}

#[test]
fn a_board_that_stays_cool_gets_no_action_and_is_read_seldom() {
    let mut scene = Scene::new([load("a", 0, 1200)]);
    assert_eq!(scene.stay_at(60.0, 7200), []);
    assert_eq!(scene.ladder.level(), &ThermalLevel::Normal);
    assert_eq!(scene.ladder.observation_interval(), TimeSpan::from_secs(5));
    assert_eq!(scene.ladder.blocking_reason(Percent::new(1200), None), None);
    scene.set(68.0);
    scene.pass(60);
    assert_eq!(scene.ladder.observation_interval(), TimeSpan::from_secs(1), "it could be hot soon");
}

#[test]
fn near_the_threshold_starts_are_on_hold_and_nothing_is_restrained() {
    let mut scene = Scene::new([load("a", 0, 1200)]);
    assert_eq!(scene.warm_up_to(73.0), [ThermalAction::Hold]);
    assert_eq!(scene.ladder.level(), &ThermalLevel::Hold);
    assert!(scene.ladder.blocking_reason(Percent::new(100), None).is_some());
    let said = scene.stay_at(60.0, 3600);
    assert_eq!(said, [ThermalAction::Admit]);
    assert_eq!(scene.ladder.level(), &ThermalLevel::Normal);
}

#[test]
fn what_has_ended_is_replaced_once_it_is_cool_though_nothing_is_started() {
    let mut scene = Scene::new([load("a", 0, 600), load("b", 0, 600)]);
    scene.warm_up_to(73.0);
    let starts =
        |scene: &Scene, cpu| scene.ladder.blocking_reason(Percent::new(cpu), None).is_none();
    scene.loads.pop();
    scene.pass(1);
    assert!(!starts(&scene, 600), "it is still hot");
    assert_eq!(scene.stay_at(64.0, 120), []);
    assert!(starts(&scene, 600) && !starts(&scene, 700));
    scene.loads.push(load("c", 0, 600));
    scene.pass(1);
    assert!(!starts(&scene, 100), "there is as much as before");
}

#[test]
fn a_steep_rise_is_met_before_the_threshold_is_reached() {
    let mut scene = Scene::new([load("a", 0, 1200)]);
    let mut hottest = 40.0;
    let because = loop {
        hottest += 0.5;
        scene.set(hottest);
        if let Some(cap) = scene.observe().into_iter().find(|one| one.action.name() == "cap") {
            break cap.reason;
        }
    };
    assert!(hottest < 74.0, "{hottest}");
    let ThermalReason::Zone { zone, celsius, soon } = &because else { panic!("{because:?}") };
    assert_eq!((zone.as_str(), *celsius), ("tj", Celsius::from_degrees(hottest)));
    assert!(*soon >= Celsius::new(75));
    assert!(because.to_string().contains("and will soon be at 7"), "{because}");
}

#[test]
fn the_lowest_and_youngest_is_capped_first_and_let_go_last() {
    let young = ThermalLoad { since: Uptime::from_secs(9), ..load("young", 0, 400) };
    let mut scene = Scene::new([load("high", 5, 400), young, load("old", 0, 400)]);
    scene.warm_up_to(74.9);
    let said = scene.stay_at(75.6, 400);
    let mut first = names(&said, "cap");
    first.dedup();
    let order = ["young", "old", "high"];
    assert!(order.starts_with(&first.iter().map(String::as_str).collect::<Vec<_>>()), "{first:?}");
    assert!(first.len() >= 2, "{first:?}");
    let said = scene.stay_at(66.0, 4 * 3600);
    let lifted = names(&said, "uncap");
    let mut reversed: Vec<_> = first.clone();
    reversed.reverse();
    assert_eq!(lifted, reversed);
    assert_eq!(said.last(), Some(&ThermalAction::Admit));
}

#[test]
fn where_caps_are_not_enough_experiments_are_frozen_or_else_stopped() {
    let stiff = ThermalLoad { can_freeze: false, ..load("stiff", 0, 400) };
    let mut scene = Scene::new([load("a", 1, 400), stiff]);
    scene.warm_up_to(74.9);
    let said = scene.stay_at(82.0, 120);
    let stop = ThermalAction::restrain(&id("stiff"), RestraintChange::Stop(StopUrgency::Graceful));
    let freeze = ThermalAction::restrain(&id("a"), RestraintChange::Freeze);
    let index = |step| said.iter().position(|one| *one == step);
    assert!(index(stop).unwrap() < index(freeze).unwrap(), "{said:?}");
    assert!(names(&said, "cap").contains(&"stiff".to_owned()), "{said:?}");
    assert_eq!(scene.ladder.level(), &ThermalLevel::Throttle);
}

#[test]
fn one_critical_reading_stops_nothing_and_two_stop_all() {
    let mut scene = Scene::new([load("high", 5, 400), load("low", -5, 400)]);
    assert!(names(&scene.stay_at(90.0, 1), "stop").is_empty());
    assert!(names(&scene.stay_at(50.0, 60), "stop").is_empty(), "it was a slip");
    scene.stay_at(90.0, 1);
    let said = scene.pass(1);
    assert_eq!(names(&said, "stop"), ["low", "high"]);
    assert!(said.contains(&ThermalAction::restrain(
        &id("low"),
        RestraintChange::Stop(StopUrgency::Critical)
    )));
    assert_eq!(scene.ladder.level(), &ThermalLevel::Critical);
}

#[test]
fn until_it_is_cool_every_experiment_that_comes_up_is_stopped_and_nothing_is_started() {
    let mut scene = Scene::new([load("a", 0, 400)]);
    scene.stay_at(90.0, 2);
    scene.loads = vec![load("b", 0, 400)];
    assert_eq!(names(&scene.stay_at(80.0, 1), "stop"), ["b"]);
    scene.loads.clear();
    let said = scene.stay_at(60.0, 60);
    assert_eq!(said, []);
    assert!(scene.ladder.blocking_reason(Percent::new(400), None).is_some());
    assert_eq!(scene.stay_at(60.0, 600), [ThermalAction::Admit]);
    assert_eq!(scene.ladder.level(), &ThermalLevel::Normal);
}

#[test]
fn an_experiment_over_its_own_limit_is_suspended_alone_and_for_a_while() {
    let delicate = ThermalLoad { max_celsius: Some(Celsius::new(60)), ..load("delicate", 9, 100) };
    let mut scene = Scene::new([load("a", 0, 400), delicate]);
    let said = scene.warm_up_to(62.0);
    assert_eq!(
        said,
        [ThermalAction::Hold, ThermalAction::restrain(&id("delicate"), RestraintChange::Freeze)]
    );
    let limit = Some(Celsius::new(60));
    scene.stay_at(50.0, 1100);
    assert_eq!(scene.ladder.restraint(&id("delicate")).activity, Activity::Frozen);
    let said = scene.pass(600);
    assert_eq!(
        said,
        [ThermalAction::restrain(&id("delicate"), RestraintChange::Thaw), ThermalAction::Admit]
    );
    assert_eq!(scene.ladder.blocking_reason(Percent::new(1), limit), None);
    scene.stay_at(56.0, 60);
    let kept = scene.ladder.blocking_reason(Percent::new(1), limit).unwrap();
    assert!(kept.to_string().ends_with("too near to its own limit of 60.0 °C"), "{kept}");
    assert_eq!(scene.ladder.blocking_reason(Percent::new(1), None), None);
}

#[test]
fn a_failed_action_is_repeated_while_it_is_needed() {
    let mut scene = Scene::new([load("a", 0, 1200)]);
    scene.warm_up_to(74.9);
    let said = [scene.stay_at(75.4, 40), scene.stay_at(74.5, 60)].concat();
    let cap = said.iter().rfind(|one| one.name() == "cap").unwrap().clone();
    assert_eq!(scene.pass(60), []);
    scene.fail(&cap);
    assert_eq!(scene.pass(2), [cap]);
    scene.set(50.0);
    let said = scene.pass(4 * 3600);
    let uncap = ThermalAction::restrain(&id("a"), RestraintChange::Uncap);
    assert!(said.contains(&uncap), "{said:?}");
    scene.fail(&uncap);
    assert_eq!(names(&scene.pass(120), "uncap"), ["a"]);
}

/// A kernel without CFS bandwidth takes `CPUQuota=` and does nothing.
#[test]
fn where_a_cap_turns_out_to_have_no_effect_the_next_means_follows_at_once() {
    let mut scene = Scene::new([load("high", 1, 600), load("low", 0, 600)]);
    scene.warm_up_to(74.9);
    scene.set(75.4);
    let cap = loop {
        if let Some(cap) = scene.observe().into_iter().find(|one| one.action.name() == "cap") {
            break cap.action;
        }
    };
    for one in &mut scene.loads {
        one.can_cap = false;
    }
    scene.fail(&cap);
    assert_eq!(scene.pass(1), [ThermalAction::restrain(&id("low"), RestraintChange::Freeze)]);
    assert_eq!(scene.ladder.restraint(&id("low")).cap, None, "there is none to be lifted");
    let said = scene.stay_at(50.0, 3600);
    assert_eq!(
        said,
        [ThermalAction::restrain(&id("low"), RestraintChange::Thaw), ThermalAction::Admit]
    );
}

#[test]
fn what_another_ladder_left_is_kept_while_it_is_hot_and_lifted_when_it_is_not() {
    let left = Restraint { cap: Some(Percent::new(300)), activity: Activity::Running };
    let ladder = Ladder::taking_over(settings(), [(id("a"), left), (id("gone"), left)]);
    let mut scene = Scene::new([load("a", 0, 1200)]);
    scene.ladder = ladder;
    assert_eq!(scene.stay_at(74.5, 120), [ThermalAction::Hold]);
    assert_eq!(scene.ladder.restraint(&id("a")), left);
    assert_eq!(scene.ladder.restraint(&id("gone")), Restraint::default());
    let said = scene.stay_at(50.0, 4 * 3600);
    assert_eq!(names(&said, "uncap"), ["a"]);
}

#[test]
fn the_share_of_an_ended_experiment_is_kept_a_while_for_its_replacement() {
    let mut scene = Scene::new([load("a", 0, 600), load("b", 0, 600)]);
    scene.warm_up_to(74.9);
    scene.stay_at(75.2, 40);
    let capped = ["a", "b"].map(|name| scene.ladder.restraint(&id(name)).cap);
    assert!(capped.iter().any(Option::is_some));
    scene.set(74.0);
    let (stays, goes) = if capped[0].is_some() { ("a", "b") } else { ("b", "a") };
    scene.loads.retain(|one| one.experiment != id(goes));
    assert_eq!(scene.pass(30), []);
    scene.loads.push(load("c", 0, 600));
    assert_eq!(scene.pass(300), [], "nothing is different from before");
    scene.loads.retain(|one| one.experiment == id(stays));
    assert_eq!(names(&scene.pass(120), "uncap"), [stays]);
}
