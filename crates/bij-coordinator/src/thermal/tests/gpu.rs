//! Limits of the GPU's clock, and their lifting.

use bij_core::{Hertz, Percent};

use super::scene::{Scene, id, load};
use crate::thermal::{RestraintChange, ThermalAction, ThermalLevel, ThermalLoad};

fn rates() -> Vec<Hertz> {
    (3..=13).map(|hundreds| Hertz::new(hundreds * 100_000_000)).collect()
}

fn on_gpu(name: &str, priority: i32, cpu: u32) -> ThermalLoad {
    ThermalLoad { can_cap_gpu: true, ..load(name, priority, cpu) }
}

/// Creates a scene with a GPU whose clock can be limited.
fn scene(loads: impl IntoIterator<Item = ThermalLoad>) -> Scene {
    let mut scene = Scene::new(loads);
    scene.rates = rates();
    scene
}

fn names(steps: &[ThermalAction]) -> Vec<&str> {
    steps.iter().map(ThermalAction::name).collect()
}

#[test]
fn the_gpu_is_slowed_after_the_caps_of_its_users_and_released_before() {
    let mut scene = scene([on_gpu("a", 0, 400)]);
    scene.warm_up_to(74.9);
    let said = scene.stay_at(75.6, 300);
    let first = names(&said).iter().position(|name| *name == "cap-gpu").unwrap();
    assert!(said[..first].iter().all(|one| one.name() == "cap"), "{said:?}");
    assert!(scene.bound.is_some_and(|bound| bound < rates()[10]));
    let said = scene.stay_at(50.0, 4 * 3600);
    let lifts = ["uncap-gpu", "uncap", "admit"];
    assert!(names(&said).ends_with(&lifts), "{said:?}");
    assert_eq!((scene.bound, scene.ladder.level()), (None, &ThermalLevel::Normal));
}

#[test]
fn it_is_held_back_no_more_than_the_highest_that_uses_it() {
    let mut scene = scene([on_gpu("low", 0, 400), on_gpu("high", 9, 400)]);
    scene.warm_up_to(74.9);
    scene.stay_at(75.2, 60);
    assert!(scene.ladder.restraint(&id("low")).cap.is_some());
    assert_eq!(scene.ladder.restraint(&id("high")).cap, None);
    assert_eq!(scene.bound, None, "the clock is one for both");
    scene.stay_at(76.5, 600);
    let cap = scene.ladder.restraint(&id("high")).cap.expect("no other experiment can be capped");
    let share = cap.percents() / 400.0;
    let rate = |rate: Hertz| f64::from(u32::try_from(rate.get() / 1_000_000).unwrap());
    assert!(scene.bound.is_some_and(|bound| rate(bound) >= 1300.0 * share), "{share}");
}

#[test]
fn where_processor_time_cannot_be_bounded_it_comes_before_freezing() {
    let mut scene = scene([ThermalLoad { can_cap: false, ..on_gpu("a", 0, 400) }]);
    scene.warm_up_to(74.9);
    let said = scene.stay_at(75.4, 200);
    assert_eq!(names(&said)[0], "cap-gpu", "{said:?}");
    assert!(!names(&said).contains(&"freeze"), "{said:?}");
    assert_eq!(names(&scene.stay_at(79.0, 400)).last(), Some(&"freeze"));
    let slowest = scene.bound;
    assert!(slowest.is_some(), "a thaw does not let go of everything at once");
}

#[test]
fn a_limit_set_by_another_program_is_the_starting_point() {
    let mut scene = scene([on_gpu("a", 0, 400)]);
    scene.warm_up_to(74.9);
    scene.stay_at(75.6, 120);
    // The board was switched to a mode with lower clocks.
    assert!(scene.bound.take().is_some());
    scene.rates.truncate(4);
    let said = scene.stay_at(74.0, 10);
    let [ThermalAction::CapGpu { to }] = said[..] else { panic!("{said:?}") };
    assert!(to < rates()[3], "{to}");
    scene.rates.truncate(1);
    scene.bound = None;
    let said = scene.stay_at(50.0, 4 * 3600);
    assert!(!names(&said).contains(&"uncap-gpu"), "there is nothing to lift: {said:?}");
}

#[test]
fn an_experiment_without_the_gpu_does_not_slow_it_down() {
    let mut scene = scene([load("a", 0, 400), load("b", 0, 400)]);
    scene.warm_up_to(74.9);
    let said = scene.stay_at(78.0, 600);
    assert!(!names(&said).contains(&"cap-gpu"), "{said:?}");
    // Nor is it when who uses it has gone.
    let mut scene = self::scene([on_gpu("a", 0, 400)]);
    scene.warm_up_to(74.9);
    scene.stay_at(75.6, 120);
    scene.loads = vec![load("b", 0, 400)];
    assert!(names(&scene.stay_at(74.0, 120)).contains(&"uncap-gpu"));
}

#[test]
fn a_cap_goes_by_what_is_taken_and_not_by_what_may_be() {
    let mut scene = Scene::new([load("a", 0, 1200)]);
    let mut taken = 0;
    let cap = (0..600).find_map(|second: u32| {
        taken += 2_000_000;
        scene.loads[0].cpu_time = Some(bij_core::TimeSpan::from_micros(taken));
        scene.set(f64::from(second).mul_add(0.1, 40.0).min(75.5));
        scene.observe().into_iter().find_map(|one| match one.action {
            ThermalAction::Restrain { change: RestraintChange::Cap(to), .. } => Some(to),
            _ => None,
        })
    });
    let cap = cap.unwrap();
    assert!(cap < Percent::new(200) && cap > Percent::new(100), "{cap}");
}
