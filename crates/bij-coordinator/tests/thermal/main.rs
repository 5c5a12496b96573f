//! The thermal ladder, judged against a board that grows hot under load.
//!
//! Each board is restrained for six hours by three policies, side by side: the ladder; "stop everything at 75 °C, start
//! everything at 65 °C"; and the *bound*: at each moment the demand, up to the constant load that just holds the
//! throttle temperature. Varying loads can exceed the bound a little, because the heat sink evens them out. `cargo nextest run --no-capture` prints
//! the tables.

mod drive;

use bij_coordinator::thermal::model::{BoardModel, FanModel, Workload};
use bij_coordinator::thermal::{RestraintChange, ThermalAction, ThermalLevel};
use bij_core::Celsius;

use drive::{ALL_MEANS, Means, Outcome};

const HOURS: f64 = 6.0;
/// Seconds after which the ladder has settled: the slowest load reaches its peak after two hours.
const SETTLED: f64 = 2.0 * 3600.0;
/// The critical temperature, and what readings may lag behind.
const NEVER_ABOVE: f64 = 86.0;

#[test]
fn without_a_fan_the_ladder_holds_the_board_and_does_the_work() {
    judge(FanModel::None);
}

#[test]
fn with_a_weak_fan_the_ladder_holds_the_board_and_does_the_work() {
    judge(FanModel::Weak);
}

#[test]
fn with_a_strong_fan_the_ladder_holds_the_board_and_does_the_work() {
    judge(FanModel::Strong);
}

#[expect(clippy::print_stdout, reason = "the table is the other half of the result")]
fn judge(fan: FanModel) {
    println!(
        "{:<16}{:>8}{:>12}{:>10}{:>18}{:>18}{:>9}",
        format!("fan {fan}"),
        "hottest",
        "moves/hour",
        "work",
        "all-or-nothing",
        "with free starts",
        "hottest"
    );
    let mut wrong = Vec::new();
    for load in Workload::ALL {
        let bound = drive::ideal(fan, load, HOURS);
        let ladder = drive::ladder(BoardModel::new(fan, load), HOURS, ALL_MEANS);
        let rival = drive::all_or_nothing(BoardModel::new(fan, load), HOURS);
        let free = drive::all_or_nothing(BoardModel::new(fan, load).with_free_starts(), HOURS);
        let moves = ladder.most_in_an_hour(SETTLED);
        let share = |one: &Outcome| one.work / bound;
        println!(
            "{:<16}{:>8.1}{moves:>12}{:>10.3}{:>18.3}{:>18.3}{:>9.1}",
            load.name(),
            ladder.hottest,
            share(&ladder),
            share(&rival),
            share(&free),
            rival.hottest
        );
        // A board that never grows hot cannot show a better policy.
        let is_better = ladder.work > rival.work || (rival.stops == 0 && ladder.work >= rival.work);
        if ladder.hottest > NEVER_ABOVE || moves > 6 || share(&ladder) < 0.95 || !is_better {
            wrong.push(load.name());
        }
    }
    assert!(wrong.is_empty(), "fan {fan}: {}", wrong.join(", "));
}

/// Some kernels of these boards take a `CPUQuota=` and do nothing; and not everything may be frozen.
#[test]
fn with_less_means_the_board_is_held_all_the_same() {
    for fan in FanModel::ALL {
        for load in [
            Workload::Constant,
            Workload::ManySmall,
            Workload::Random,
            Workload::Queue,
            Workload::TrainingAndHuge,
        ] {
            for means in [
                Means { caps: false, freezes: false, ..ALL_MEANS },
                Means { freezes: false, ..ALL_MEANS },
                Means { caps_bite: false, ..ALL_MEANS },
                Means { gpu: false, ..ALL_MEANS },
                Means { caps: false, freezes: false, gpu: false, ..ALL_MEANS },
                Means { caps_bite: false, freezes: false, ..ALL_MEANS },
            ] {
                let outcome = drive::ladder(BoardModel::new(fan, load), 2.0, means);
                assert!(outcome.hottest <= NEVER_ABOVE, "{fan} {load}: {}", outcome.hottest);
                // Twelve at most are up, and what is stopped stays so for half an hour.
                let stops = |action: &ThermalAction| action.name() == "stop";
                let stops = outcome.moves.iter().filter(|(_, one)| stops(&one.action)).count();
                assert!(stops <= 4 * 12, "{fan} {load} {means:?}: {stops} stops in two hours");
            }
        }
    }
}

#[test]
fn where_nothing_can_be_capped_half_of_the_work_is_done_by_freezing_and_thawing() {
    for fan in FanModel::ALL {
        let means = Means { caps: false, ..ALL_MEANS };
        let outcome = drive::ladder(BoardModel::new(fan, Workload::Constant), 4.0, means);
        assert!(outcome.hottest <= NEVER_ABOVE, "{fan}: {}", outcome.hottest);
        let share = outcome.work / drive::ideal(fan, Workload::Constant, 4.0);
        assert!(share >= 0.5, "{fan}: {share}");
    }
}

/// Few definitions have a `CPUQuota=`. The ladder takes the others for what could take all processors.
#[test]
fn where_no_definition_says_what_is_taken_nine_tenths_of_the_work_is_done() {
    for fan in FanModel::ALL {
        for load in [
            Workload::Pair,
            Workload::ManySmall,
            Workload::HugeAndSmall,
            Workload::Queue,
            Workload::TrainingAndHuge,
        ] {
            let means = Means { quotas: false, ..ALL_MEANS };
            let outcome = drive::ladder(BoardModel::new(fan, load), 3.0, means);
            assert!(outcome.hottest <= NEVER_ABOVE, "{fan} {load}: {}", outcome.hottest);
            let share = outcome.work / drive::ideal(fan, load, 3.0);
            assert!(share >= 0.9, "{fan} {load}: {share}");
        }
    }
}

/// As on a kernel without CFS bandwidth: of a board that only the GPU heats little is lost then.
#[test]
fn where_nothing_can_be_capped_the_gpus_clock_still_can() {
    for fan in FanModel::ALL {
        let share = |gpu| {
            let means = Means { caps: false, gpu, ..ALL_MEANS };
            let outcome = drive::ladder(BoardModel::new(fan, Workload::Training), 4.0, means);
            assert!(outcome.hottest <= NEVER_ABOVE, "{fan}: {}", outcome.hottest);
            outcome.work / drive::ideal(fan, Workload::Training, 4.0)
        };
        let (with, without) = (share(true), share(false));
        assert!(with >= 0.8 && with >= without, "{fan}: {with}, {without}");
    }
}

#[test]
fn a_board_that_jumps_to_ninety_degrees_is_cleared_within_seconds() {
    let mut ride =
        drive::Ride::new(BoardModel::new(FanModel::Strong, Workload::ManySmall), ALL_MEANS);
    while ride.now() < 60.0 {
        ride.observe();
    }
    ride.world.heat_up_to(Celsius::new(90));
    let jumped = ride.now();
    while *ride.ladder.level() != ThermalLevel::Critical {
        ride.observe();
    }
    let took = ride.now() - jumped;
    assert!(took <= 6.0, "a look, and a second one that is sure: {took}");
    let stopped = ride.moves.iter().filter_map(|(_, one)| match &one.action {
        ThermalAction::Restrain { experiment, change: RestraintChange::Stop(_) } => {
            Some(experiment.as_str())
        }
        _ => None,
    });
    let stopped: Vec<&str> = stopped.collect();
    assert_eq!(stopped.len(), 12);
    // Their priorities are the remainders of their numbers by three, and the lowest go first.
    let rest = |name: &str| name.trim_start_matches("small-").parse::<u32>().unwrap() % 3;
    assert!(stopped.is_sorted_by_key(|name| rest(name)), "{stopped:?}");
    ride.observe();
    while !ride.world.loads().is_empty() {
        ride.observe();
    }
    while ride.now() < jumped + 3600.0 {
        ride.observe();
    }
    assert!(!ride.world.loads().is_empty(), "when it is cool they come back");
}
