//! The board with what runs on it.

use super::*;

#[test]
fn the_ideal_never_passes_the_temperature_that_it_holds() {
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
fn without_a_fan_every_load_is_too_much_when_nobody_holds_it_back() {
    for load in Load::ALL {
        let mut world = HeatWorld::new(Fan::None, load);
        world.pass(2.0 * 3600.0);
        assert!(world.hottest() > 86.0, "{load}: {}", world.hottest());
    }
}

#[test]
fn what_is_held_back_works_less_and_what_is_stopped_works_no_more() {
    let mut world = HeatWorld::new(Fan::Strong, Load::Pair);
    let [a, b] = ["a", "b"].map(|name| ExperimentId::new(name).unwrap());
    world.pass(STARTING);
    let begun = world.standing().work;
    world.hold_back(&a, |hand| hand.cap = Some(Percent::new(300)));
    world.hold_back(&b, |hand| hand.frozen = true);
    world.pass(10.0);
    assert!((world.standing().work - begun - 30.0).abs() < 0.01);
    world.stop(&a);
    world.pass(10.0);
    assert_eq!(world.living().len(), 1);
    assert!((world.standing().work - begun - 30.0).abs() < 0.01);
    assert!(world.start_next() && !world.start_next());
    assert_eq!(world.living().len(), 2);
    assert_eq!(world.living()[0].hand, Hand::default());
}
