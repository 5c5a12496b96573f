//! Sensors that cannot be read.

use bij_core::Percent;
use bij_core::port::BoardReadError;

use super::scene::{Scene, id, load, off, settings, zone};
use crate::thermal::{Activity, Ladder, ThermalAction, ThermalLevel, ThermalReason};

#[test]
fn a_machine_without_zones_has_no_ladder() {
    let mut scene = Scene::new([load("a", 0, 400)]);
    scene.ladder = Ladder::new(settings());
    scene.zones = Ok(Vec::new());
    assert_eq!(scene.pass(60), []);
    assert_eq!(scene.ladder.level(), &ThermalLevel::Normal);
    assert_eq!(scene.ladder.blocking_reason(Percent::new(400), None), None);
}

#[test]
fn without_readings_starts_are_on_hold_with_the_reason() {
    let unread = BoardReadError { what: "/sys/class/thermal".to_owned(), why: "denied".to_owned() };
    for (zones, why) in [
        (Err(unread), "cannot read /sys/class/thermal: denied"),
        (Ok(vec![]), "all thermal zones are gone"),
        (
            Ok(vec![off("cpu"), off("tj")]),
            "none of 2 thermal zones can be read: cannot read cpu: no data available",
        ),
        (Ok(vec![zone("cpu", -256.0)]), "none of 1 thermal zones can be read: no value is"),
    ] {
        let mut scene = Scene::new([load("a", 0, 400)]);
        scene.zones = zones;
        let said = scene.observe();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].action, ThermalAction::Hold);
        assert!(said[0].reason.to_string().starts_with(why), "{}", said[0].reason);
        assert!(
            matches!(scene.ladder.level(), ThermalLevel::Blind(reason) if reason.starts_with(why))
        );
        assert!(scene.ladder.blocking_reason(Percent::new(1), None).is_some());
        assert_eq!(scene.pass(600), [], "it is said once");
        assert_eq!(scene.stay_at(50.0, 600), [ThermalAction::Admit]);
        assert_eq!(scene.ladder.level(), &ThermalLevel::Normal);
    }
}

#[test]
fn restraints_stay_while_nothing_can_be_read() {
    let mut scene = Scene::new([load("a", 0, 1200)]);
    scene.warm_up_to(74.9);
    scene.stay_at(75.4, 60);
    let held_back = scene.ladder.restraint(&id("a"));
    assert!(held_back.cap.is_some());
    scene.zones = Ok(vec![off("tj")]);
    assert_eq!(scene.pass(3600), []);
    assert_eq!(scene.ladder.restraint(&id("a")), held_back);
}

#[test]
fn an_experiment_that_comes_up_unread_after_a_critical_reading_is_stopped() {
    let mut scene = Scene::new([]);
    scene.stay_at(90.0, 2);
    scene.zones = Ok(vec![off("tj")]);
    scene.loads.push(load("a", 0, 1200));
    scene.observe();
    let activity = scene.ladder.restraint(&id("a")).activity;
    assert!(matches!(activity, Activity::Stopping(_)));
}

#[test]
fn a_zone_that_was_cool_when_it_went_was_switched_off_and_is_not_missed() {
    let mut scene = Scene::new([load("a", 0, 400)]);
    scene.zones = Ok(vec![zone("gpu", 50.0), off("cv0"), zone("tj", 60.0)]);
    assert_eq!(scene.pass(60), []);
    for gone in [vec![zone("tj", 60.0)], vec![off("gpu"), zone("gpu", -256.0), zone("tj", 60.0)]] {
        scene.zones = Ok(gone);
        assert_eq!(scene.pass(60), []);
        assert_eq!(scene.ladder.level(), &ThermalLevel::Normal);
    }
}

#[test]
fn a_zone_that_was_hot_when_it_went_is_missed_until_the_rest_is_long_cool() {
    let mut scene = Scene::new([load("a", 0, 400)]);
    scene.ladder = Ladder::new(settings());
    for degrees in [50.0, 55.0, 60.0, 65.0, 70.0] {
        scene.zones = Ok(vec![zone("gpu", degrees), zone("cpu", 55.0)]);
        assert_eq!(scene.pass(300), []);
    }
    scene.zones = Ok(vec![off("gpu"), zone("cpu", 55.0)]);
    let said = scene.observe();
    assert_eq!(said[0].action, ThermalAction::Hold);
    let why = "gpu was hot and cannot be read any more".to_owned();
    assert_eq!(said[0].reason, ThermalReason::Unreadable(why));
    assert_eq!(scene.ladder.level(), &ThermalLevel::Hold);
    assert_eq!(scene.pass(200), []);
    assert_eq!(scene.pass(600), [ThermalAction::Admit], "it was switched off after all");
}

#[test]
fn the_zones_that_can_be_read_count() {
    let mut scene = Scene::new([load("a", 0, 400)]);
    scene.zones = Ok(vec![off("gpu"), zone("gpu", 90.0), zone("cpu", 55.0)]);
    scene.pass(2);
    assert_eq!(scene.ladder.level(), &ThermalLevel::Critical);
}
