//! Worlds with groups of few slots and a board of several power modes: every gate that a start behind a
//! run can close.

use bij_core::queue::{Dependencies, GroupName, QueueState};
use bij_core::spec::PowerModeRef;
use proptest::prelude::*;

use super::properties::{any_world, what_starts_passes_its_gates};
use crate::policy::testing::*;
use crate::policy::{Action, PowerModeOption, PowerModeStatus, requeue_interrupted};

/// The modes that runs may want; the last one is not to be had.
const MODES: [&str; 4] = ["MAXN", "MODE_15W", "MODE_30W", "MODE_50W"];

prop_compose! {
    fn any_board()(
        current in 0..3u32,
        failed in prop::option::weighted(0.2, 0..3u32),
        switching in prop::option::weighted(0.1, 0..3u32),
    ) -> PowerModeStatus {
        let offers = MODES.iter().zip(0..).map(|(name, id)| {
            PowerModeOption { id, name: (*name).to_owned(), needs_reboot: id == 3 }
        });
        PowerModeStatus {
            offered: offers.collect(),
            current: Some(current),
            failed: failed.map(|mode| (mode, "nvpmodel hangs".to_owned())).into_iter().collect(),
            switching,
            ..PowerModeStatus::default()
        }
    }
}

prop_compose! {
    pub(super) fn any_world_of_groups_and_modes()(
        mut world in any_world(),
        board in any_board(),
        slots in prop::collection::vec(prop::option::of(1..4u32), 3),
        modes in prop::collection::vec(prop::option::weighted(0.4, 0..MODES.len()), 30),
    ) -> World {
        let named = |(group, slots): (usize, Option<u32>)| {
            let group: GroupName = format!("g{group}").parse().unwrap();
            Some((group, slots?))
        };
        world.state.settings.groups = slots.into_iter().enumerate().filter_map(named).collect();
        let current = board.current.map(|id| MODES[usize::try_from(id).unwrap()]);
        for (run, mode) in world.state.runs.values_mut().zip(modes) {
            // Whatever is up was let start in the mode in force.
            let mode = if run.state.is_up() { mode.and(current) } else { mode.map(|at| MODES[at]) };
            run.terms.power = mode.map(Into::into);
        }
        world.seen.power = board;
        world
    }
}

proptest! {
    #![proptest_config(many_cases())]

    #[test]
    fn a_decision_that_is_carried_out_leaves_nothing_to_start(
        mut world in any_world_of_groups_and_modes(),
    ) {
        let decision = world.decide();
        world.carry_out(decision);
        let again = world.decide();
        prop_assert_eq!(&again.actions, &Vec::<Action>::new());
    }

    #[test]
    fn what_is_let_start_would_be_let_start_if_it_asked_itself(
        world in any_world_of_groups_and_modes(),
    ) {
        what_starts_passes_its_gates(world)?;
    }
}

proptest! {
    /// However the runs that are up end, every run that waits for capacity comes to its turn.
    #[test]
    fn the_queue_empties(
        mut world in any_world_of_groups_and_modes(),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 100),
    ) {
        world.seen.unreachable = None;
        world.seen.going_down.clear();
        world.seen.sample.memory_available = Ok(gib(64));
        world.seen.power.failed.clear();
        world.seen.power.switching = None;
        for change in requeue_interrupted(&world.state) {
            world.state.apply(&change);
        }
        world.state.runs.retain(|_, run| {
            let fits = run.terms.claim.memory.is_none_or(|claim| claim <= gib(40));
            let is_offered = run.terms.power.as_ref().is_none_or(|mode| *mode != PowerModeRef::from(MODES[3]));
            fits && is_offered && run.state == QueueState::Waiting
        });
        world.seen.units.clear();
        for run in world.state.runs.values_mut() {
            run.terms.after = Dependencies::default();
        }
        for end in ends {
            let decision = world.decide();
            let wish = decision.report.power_target.mode;
            world.carry_out(decision);
            world.seen.power.current = wish.or(world.seen.power.current);
            let up: Vec<_> = world.state.up().map(|run| run.run.clone()).collect();
            if !up.is_empty() {
                world.end(end.get(&up));
            }
        }
        prop_assert!(world.state.runs.is_empty(), "{:?}", world.state.runs.keys());
    }
}
