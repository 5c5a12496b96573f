//! The power mode of the board.

use bij_core::RunId;
use bij_core::queue::{ClosedGate, GpuClaim, QueuedRun};
use proptest::prelude::*;

use crate::policy::testing::*;
use crate::policy::{PowerModeOption, PowerModeStatus, PowerModesUnknown, is_free_for};
use crate::thermal::ThermalLevel;

/// A board in mode 2 with four of them, one of which takes a reboot.
fn board(runs: impl IntoIterator<Item = QueuedRun>) -> World {
    let mut world = World::new(runs);
    let offer =
        |id, name: &str| PowerModeOption { id, name: name.to_owned(), needs_reboot: id == 1 };
    let offered =
        vec![offer(0, "MAXN"), offer(1, "MODE_15W"), offer(2, "MODE_30W"), offer(3, "MODE_50W")];
    world.seen.power = PowerModeStatus { offered, current: Some(2), ..PowerModeStatus::default() };
    world
}

fn why(world: &World, run: &str) -> String {
    let report = world.decide().report;
    let gate = report.waiting[&run_id(run)].iter().map(|waiting| &waiting.gate);
    let why = gate.filter_map(|gate| match gate {
        ClosedGate::PowerMode { why, .. } => Some(why.clone()),
        _ => None,
    });
    why.collect::<Vec<_>>().join("; ")
}

fn wish(world: &World) -> Option<u32> {
    world.decide().report.power_target.mode
}

fn clocks_for(world: &World) -> Vec<String> {
    world.decide().report.power_target.clocks.iter().map(ToString::to_string).collect()
}

#[test]
fn runs_with_the_same_mode_or_none_share_the_board() {
    let world = board([
        waiting("a#1").mode("MODE_30W"),
        waiting("b#1").mode("30w"),
        waiting("c#1").mode("2"),
        waiting("d#1"),
    ]);
    assert_eq!(world.started(), ["a#1", "b#1", "c#1", "d#1"]);
    assert_eq!(wish(&world), None);
}

#[test]
fn a_switch_waits_for_conflicting_runs_and_keeps_further_ones_out() {
    let mut world = board([
        waiting("a#1").mode("MODE_30W").running(),
        waiting("n#1").running(),
        waiting("b#1").mode("MAXN"),
        waiting("c#1").mode("MODE_30W"),
        waiting("d#1"),
    ]);
    assert_eq!(world.started(), ["d#1"], "that one is at home everywhere");
    assert_eq!(why(&world, "b#1"), "another is in force for a#1");
    assert_eq!(why(&world, "c#1"), "the board is reserved for b#1, which wants MAXN");
    assert_eq!(wish(&world), None);
    world.end(&run_id("a#1"));
    assert_eq!(why(&world, "b#1"), "the board is switched to it first");
    assert_eq!(wish(&world), Some(0));
    assert!(is_free_for(&world.state, &world.seen, 0));
    world.seen.power.switching = Some(0);
    assert_eq!(why(&world, "c#1"), "the board is being switched to MAXN");
    assert_eq!(wish(&world), None, "it is under way");
    assert!(!is_free_for(&world.state, &world.seen, 0));
    world.seen.power = PowerModeStatus { switching: None, current: Some(0), ..world.seen.power };
    assert_eq!(world.started(), ["b#1", "d#1"]);
}

#[test]
fn a_run_that_waits_for_something_else_too_reserves_no_board() {
    let world = board([
        waiting("a#1").mode("MODE_30W").running(),
        waiting("b#1").mode("MAXN").held(),
        waiting("c#1").mode("MODE_30W"),
    ]);
    assert_eq!(world.started(), ["c#1"]);
}

/// `b#1` waits for the mode alone; `c#1` needs the mode that `a#1` has put in force.
fn mode_in_use(beside: impl IntoIterator<Item = QueuedRun>) -> World {
    let runs = [
        waiting("a#1").mode("MODE_30W").running(),
        waiting("b#1").mode("MAXN").memory(gib(30)).gpu(GpuClaim::Shared).group("g").priority(1),
        waiting("c#1").mode("MODE_30W").priority(-1),
    ];
    let mut world = board(runs.into_iter().chain(beside)).slots(9);
    world.state.settings.groups.insert("g".parse().unwrap(), 1);
    world
}

#[test]
fn a_run_that_waits_for_the_mode_alone_loses_none_of_its_capacity_meanwhile() {
    let mut world = mode_in_use([
        waiting("b#2"),
        waiting("memory#1").memory(gib(11)),
        waiting("gpu#1").gpu(GpuClaim::Exclusive),
        waiting("group#1").group("g"),
        waiting("rest#1").memory(gib(10)).gpu(GpuClaim::Shared),
    ]);
    let decision = world.decide();
    assert_eq!(started(&decision), ["rest#1"]);
    world.carry_out(decision);
    assert_eq!(world.started(), [""; 0]);
    for run in ["b#2", "memory#1", "gpu#1", "group#1"] {
        assert_eq!(world.gate(run, "turn"), ClosedGate::Turn { of: run_id("b#1") });
    }
    world.end(&run_id("a#1"));
    world.seen.power.current = wish(&world);
    assert_eq!(world.started(), ["b#1"]);
}

#[test]
fn the_board_stays_reserved_for_a_run_that_comes_to_wait_for_anothers_turn() {
    let mut world = mode_in_use([
        waiting("r#1").memory(gib(3)).running(),
        waiting("large#1").memory(gib(38)).priority(2),
        waiting("small#1").memory(gib(1)),
    ])
    .bypass(1);
    let decision = world.decide();
    assert_eq!(started(&decision), ["small#1"]);
    world.carry_out(decision);
    assert_eq!(world.gates_of("b#1"), ["power-mode", "turn"]);
    assert_eq!(world.started(), [""; 0]);
    assert!(why(&world, "c#1").starts_with("the board is reserved for b#1"));
}

#[test]
fn an_unavailable_mode_delays_only_the_runs_that_ask_for_it() {
    let mut world = board([
        waiting("a#1").mode("MODE_15W"),
        waiting("b#1").mode("MAXN"),
        waiting("c#1").mode("TURBO"),
        waiting("d#1").mode("MODE_30W"),
    ]);
    world.seen.power.failed.insert(0, "nvpmodel hangs".to_owned());
    assert_eq!(world.started(), ["d#1"]);
    assert!(why(&world, "a#1").starts_with("it needs a reboot; `bij power set MODE_15W"));
    assert_eq!(why(&world, "b#1"), "it could not be set: nvpmodel hangs");
    assert_eq!(why(&world, "c#1"), "this board has MAXN, MODE_15W, MODE_30W, MODE_50W");
    assert_eq!(wish(&world), None);
    world.seen.power.at_next_boot = Some(1);
    assert_eq!(why(&world, "a#1"), "it comes with the next boot");
}

#[test]
fn a_board_without_modes_has_the_right_one_unless_that_is_trouble() {
    let mut world = World::new([waiting("a#1").mode("MAXN")]);
    assert_eq!(world.started(), ["a#1"]);
    let trouble = PowerModesUnknown::Unread("/etc/nvpmodel.conf is blocked".to_owned());
    world.seen.power.trouble = Some(trouble);
    assert_eq!(world.gates_of("a#1"), ["power-mode"]);
    assert_eq!(World::new([waiting("a#1").mode("MAXN").at_once()]).started(), ["a#1"]);
}

#[test]
fn the_earlier_mode_is_restored_if_the_settings_say_so_and_no_run_needs_this_one() {
    let mut world = board([waiting("a#1").mode("MAXN").running(), waiting("b#1").mode("MAXN")]);
    world.seen.power = PowerModeStatus { current: Some(0), before: Some(2), ..world.seen.power };
    world.state.settings.restore_power_mode = Some(true);
    assert_eq!(wish(&world), None, "it is in use");
    world.end(&run_id("a#1"));
    let mut idle = board([]);
    idle.seen.power = PowerModeStatus { current: Some(0), before: Some(2), ..idle.seen.power };
    assert_eq!(wish(&idle), None, "not unless it is set");
    idle.state.settings.restore_power_mode = Some(true);
    assert_eq!(wish(&idle), Some(2));
    idle.seen.power.current = Some(2);
    assert_eq!(wish(&idle), None, "it is back");
    // One that waits for a slot would have it switched there and back again.
    world = world.slots(1);
    world.unit("x", &bij_core::ActiveState::Active, "running");
    assert_eq!(wish(&world), None);
}

#[test]
fn clocks_are_held_for_runs_that_are_up_and_ask_for_it_in_any_mode() {
    let mut world = board([
        waiting("a#1").clocks().running(),
        waiting("b#1").clocks().mode("MAXN"),
        waiting("c#1").running(),
        waiting("d#1").clocks().mode("MODE_30W").running(),
    ]);
    assert_eq!(clocks_for(&world), ["a#1", "d#1"]);
    assert_eq!(wish(&world), None);
    world.end(&run_id("d#1"));
    assert_eq!((clocks_for(&world), wish(&world)), (vec!["a#1".to_owned()], Some(0)));
    world.seen.thermal.level = ThermalLevel::Throttle;
    assert_eq!(clocks_for(&world), [""; 0], "they would heat a board that is too hot");
    world.seen.thermal.level = ThermalLevel::Hold;
    assert_eq!(clocks_for(&world), ["a#1"]);
    world.end(&run_id("a#1"));
    assert_eq!(clocks_for(&world), [""; 0]);
    // A machine without modes may have clocks all the same.
    assert_eq!(clocks_for(&World::new([waiting("a#1").clocks().running()])), ["a#1"]);
}

/// The modes that are wanted by those that are up.
fn modes_up(world: &World) -> Vec<String> {
    let wanted = world.state.up().filter_map(|run| run.terms.power.as_ref());
    let mut wanted: Vec<String> = wanted.map(ToString::to_string).collect();
    wanted.sort();
    wanted.dedup();
    wanted
}

proptest! {
    #![proptest_config(many_cases())]

    /// However runs with and without a wish come and go, those that are up want one mode, it is in
    /// force, and each comes to its turn.
    #[test]
    fn runs_that_are_up_have_their_mode_and_none_waits_for_ever(
        wishes in proptest::collection::vec(proptest::option::of(0..3_usize), 1..10),
        ends in proptest::collection::vec(any::<prop::sample::Index>(), 40),
        restore: bool,
    ) {
        let names = ["0", "2", "3"];
        let runs = wishes.iter().enumerate().map(|(at, wish)| {
            let run = waiting(&format!("r{at}#1"));
            wish.map_or(run.clone(), |mode| run.mode(names[mode]))
        });
        let mut world = board(runs);
        world.state.settings.restore_power_mode = Some(restore);
        for end in ends {
            let decision = world.decide();
            let wish = decision.report.power_target.mode;
            world.carry_out(decision);
            let modes = modes_up(&world);
            let current = world.seen.power.current.map(|id| id.to_string());
            prop_assert!(modes.len() <= 1, "{modes:?}");
            prop_assert!(modes.first().is_none_or(|mode| Some(mode) == current.as_ref()));
            if let Some(to) = wish {
                prop_assert!(is_free_for(&world.state, &world.seen, to));
                world.seen.power.before = world.seen.power.before.or(world.seen.power.current);
                world.seen.power.current = Some(to);
            }
            let up: Vec<RunId> = world.state.up().map(|run| run.run.clone()).collect();
            if !up.is_empty() {
                world.end(&up[end.index(up.len())]);
            }
        }
        prop_assert!(world.state.runs.is_empty(), "{:?}", world.state.runs.keys());
        prop_assert!(!restore || world.seen.power.current == Some(2), "the mode of before is back");
    }
}
