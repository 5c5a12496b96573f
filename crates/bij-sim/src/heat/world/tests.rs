//! Tests of the board and its experiments.

use super::*;

#[test]
fn the_ideal_never_exceeds_its_temperature() {
    for fan in Fan::ALL {
        for load in Load::ALL {
            let mut world = HeatWorld::new(fan, load);
            world.hold_ideally(Celsius::new(75));
            world.pass(4.0 * 3600.0);
            assert!(world.hottest() <= 75.01, "{fan} {load}: {}", world.hottest());
        }
    }
}

#[test]
fn without_a_fan_every_unrestrained_load_is_too_much() {
    for load in Load::ALL {
        let mut world = HeatWorld::new(Fan::None, load);
        world.pass(2.0 * 3600.0);
        assert!(world.hottest() > 86.0, "{load}: {}", world.hottest());
    }
}

#[test]
fn restrained_experiments_do_less_work_and_stopped_ones_none() {
    let mut world = HeatWorld::new(Fan::Strong, Load::Pair);
    let [a, b] = ["a", "b"].map(|name| ExperimentId::new(name).unwrap());
    world.pass(START_SECONDS);
    let begun = world.snapshot().work;
    world.restrain(&a, |restraint| restraint.cap = Some(Percent::new(300)));
    world.restrain(&b, |restraint| restraint.frozen = true);
    world.pass(10.0);
    assert!((world.snapshot().work - begun - 30.0).abs() < 0.01);
    world.stop(&a);
    world.pass(10.0);
    assert_eq!(world.living().len(), 1);
    assert!((world.snapshot().work - begun - 30.0).abs() < 0.01);
    assert!(world.start_next() && !world.start_next());
    assert_eq!(world.living().len(), 2);
    assert_eq!(world.living()[0].restraint, JobRestraint::default());
}
