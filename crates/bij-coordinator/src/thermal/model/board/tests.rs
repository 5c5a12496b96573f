//! Tests of the board and its experiments.

use super::*;

#[test]
fn the_ideal_never_exceeds_its_temperature() {
    for fan in FanModel::ALL {
        for load in Workload::ALL {
            let mut board = BoardModel::new(fan, load);
            board.hold_ideally(Celsius::new(75));
            board.pass(TimeSpan::from_secs(4 * 3600));
            assert!(
                board.hottest() <= Celsius::from_millis(75_010),
                "{fan} {load}: {}",
                board.hottest()
            );
        }
    }
}

#[test]
fn without_a_fan_every_unrestrained_load_is_too_much() {
    for load in Workload::ALL {
        let mut board = BoardModel::new(FanModel::None, load);
        board.pass(TimeSpan::from_secs(2 * 3600));
        assert!(board.hottest() > Celsius::new(86), "{load}: {}", board.hottest());
    }
}

#[test]
fn restrained_experiments_do_less_work_and_stopped_ones_none() {
    let mut board = BoardModel::new(FanModel::Strong, Workload::Pair);
    let [a, b] = ["a", "b"].map(|name| ExperimentId::new(name).unwrap());
    board.pass(TimeSpan::from_secs(10));
    let begun = board.work;
    board.restrain(&a, RestraintChange::Cap(Percent::new(300)));
    board.restrain(&b, RestraintChange::Freeze);
    board.pass(TimeSpan::from_secs(10));
    assert!((board.work - begun - 30.0).abs() < 0.01);
    board.stop(&a);
    board.pass(TimeSpan::from_secs(10));
    assert_eq!(board.loads().len(), 1);
    assert!((board.work - begun - 30.0).abs() < 0.01);
    assert!(board.start_next() && !board.start_next());
    assert_eq!(board.loads().len(), 2);
    assert_eq!(board.restraint(&a), Restraint::default());
}
