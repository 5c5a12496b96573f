//! What holds of all worlds.

use std::collections::BTreeSet;

use bij_core::queue::{GoingDown, GpuClaim, QueueState, QueuedRun};
use bij_core::spec::OnReboot;
use bij_core::{Bytes, Cause, RunId};
use proptest::prelude::*;

use crate::policy::testing::*;
use crate::policy::{Action, Interruption, Unreachable, closed_gates, requeue_interrupted};

/// What is let start would be let start as well if it asked itself.
pub(super) fn what_starts_passes_its_gates(mut world: World) -> Result<(), TestCaseError> {
    for change in requeue_interrupted(&world.state) {
        world.state.apply(&change);
    }
    let decision = world.decide();
    for run in started(&decision) {
        let run = &world.state.runs[&run_id(&run)];
        if run.state == QueueState::Waiting {
            let closed = closed_gates(&world.state, &world.seen, run);
            prop_assert!(closed.is_empty(), "{}: {closed:?}", run.run);
        }
    }
    Ok(())
}

fn gpu() -> impl Strategy<Value = GpuClaim> {
    prop_oneof![4 => Just(GpuClaim::None), 2 => Just(GpuClaim::Shared), 1 => Just(GpuClaim::Exclusive)]
}

prop_compose! {
    fn any_run(number: u32)(
        experiment in 0..12u8,
        state in 0..8u8,
        memory in proptest::option::of(1..45u64),
        gpu in gpu(),
        group in 0..3u8,
        priority in -1..2i32,
        position in 1..50i64,
        after in proptest::option::of(0..12u8),
        now in prop::bool::weighted(0.05),
    ) -> QueuedRun {
        let mut run = waiting(&format!("e{experiment}#{}", number + 1)).gpu(gpu);
        run = run.group(&format!("g{group}")).priority(priority).position(position);
        run.terms.claim.memory = memory.map(gib);
        run.terms.now = now;
        if let Some(after) = after.filter(|after| *after != experiment) {
            run = run.after(&[&format!("e{after}")]);
        }
        match state {
            0 => run.running(),
            1 => run.starting(),
            2 => run.held(),
            _ => run,
        }
    }
}

prop_compose! {
    pub(super) fn any_world()(
        runs in (0..30u32).prop_flat_map(|count| (0..count).map(any_run).collect::<Vec<_>>()),
        slots in 1..6u32,
        bypass in 0..4u32,
        available in 0..64u64,
        cut in prop::bool::weighted(0.2),
        blind in prop::bool::weighted(0.1),
        going_down in prop::bool::weighted(0.1),
    ) -> World {
        // An experiment has one unit, so one run of it is up at most.
        let mut up = BTreeSet::new();
        let runs = runs.into_iter().map(|run| {
            let twice = run.state.is_up() && !up.insert(run.run.experiment.clone());
            if twice { run.with(|run| run.state = QueueState::Waiting) } else { run }
        });
        let mut world = World::new(runs).slots(slots).bypass(bypass);
        world.seen.sample.memory_available = Ok(gib(available));
        let why = "the bus is gone".to_owned();
        world.seen.unreachable = blind.then(|| Unreachable { since: now(1).at, why });
        world.seen.going_down.extend(going_down.then_some(GoingDown::Machine));
        if cut {
            // The power was cut while those that are up were.
            let running = |on_reboot| Interruption::Running { cause: Cause::PowerLoss, on_reboot };
            let hows = [None, Some(OnReboot::Resume), Some(OnReboot::Requeue), Some(OnReboot::Hold)];
            let up: Vec<_> = world.state.up().map(|run| run.run.clone()).collect();
            let hows = hows.into_iter().map(running).chain([Interruption::BeforeItBegan]);
            world.state.interrupted = up.into_iter().zip(hows.cycle()).collect();
            world.seen.units.clear();
        }
        world
    }
}

fn up(world: &World) -> Vec<&QueuedRun> {
    world.state.up().collect()
}

fn claimed(runs: &[&QueuedRun]) -> u64 {
    runs.iter().filter_map(|run| run.terms.claim.memory).map(Bytes::get).sum()
}

proptest! {
    #![proptest_config(many_cases())]

    #[test]
    fn what_we_start_exceeds_neither_slots_nor_budget_nor_shares_a_gpu(mut world in any_world()) {
        let before = up(&world).len();
        let (slots, budget) = (world.state.settings.slots(), gib(40).get());
        let claimed_before = claimed(&up(&world));
        let decision = world.decide();
        let gated: BTreeSet<String> = started(&decision)
            .into_iter()
            .filter(|run| {
                let run = &world.state.runs[&run_id(run)];
                !run.terms.now && !world.state.is_up(run)
            })
            .collect();
        world.carry_out(decision);
        let now = up(&world);
        if !gated.is_empty() {
            prop_assert!(now.len() <= usize::try_from(slots).unwrap().max(before) + urgent(&now));
            let urgent_claims: Vec<_> = now.iter().copied().filter(|run| run.terms.now).collect();
            let gated_claims = claimed(&now) - claimed(&urgent_claims);
            prop_assert!(gated_claims <= budget.max(claimed_before));
        }
        for run in now.iter().filter(|run| gated.contains(&run.run.to_string())) {
            let others = now.iter().filter(|other| other.run != run.run && !other.terms.now);
            for other in others {
                let gpus = [run.terms.claim.gpu, other.terms.claim.gpu];
                let clash = gpus.contains(&GpuClaim::Exclusive) && !gpus.contains(&GpuClaim::None);
                prop_assert!(!clash, "{} and {}", run.run, other.run);
            }
        }
        let units: BTreeSet<_> = now.iter().map(|run| &run.run.experiment).collect();
        prop_assert_eq!(units.len(), now.len(), "one run of each experiment");
    }

    #[test]
    fn every_run_that_waits_is_started_or_has_a_reason(mut world in any_world()) {
        let decision = world.decide();
        for action in &decision.actions {
            if let Action::Change(change) = action {
                world.state.apply(change);
            }
        }
        let started: BTreeSet<RunId> =
            started(&decision).iter().map(|run| run_id(run)).collect();
        for run in world.state.in_order() {
            let reasons = decision.report.waiting.get(&run.run).map_or(0, |waiting| waiting.len());
            prop_assert_eq!(reasons == 0, started.contains(&run.run), "{}", run.run);
        }
    }

    #[test]
    fn nothing_starts_through_a_closed_gate(world in any_world()) {
        what_starts_passes_its_gates(world)?;
    }

    #[test]
    fn a_settled_world_yields_no_action(mut world in any_world()) {
        let decision = world.decide();
        world.carry_out(decision);
        let again = world.decide();
        prop_assert_eq!(&again.actions, &Vec::<Action>::new());
        world.carry_out(again.clone());
        prop_assert_eq!(world.decide(), again);
    }

    #[test]
    fn a_large_run_is_passed_so_often_at_most_and_starts_in_the_end(
        sizes in prop::collection::vec(1..12u64, 40),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 200),
        bypass in 0..5u32,
    ) {
        let first = waiting("r#1").memory(gib(30)).running();
        let big = waiting("big#1").memory(gib(38));
        let small = sizes.iter().enumerate().map(|(at, size)| {
            waiting(&format!("s{at}#1")).memory(gib(*size))
        });
        let mut world = World::new([first, big].into_iter().chain(small)).bypass(bypass);
        world.seen.sample.memory_available = Ok(gib(64));
        let big = run_id("big#1");
        let mut passed = 0;
        for end in ends {
            let decision = world.decide();
            let started = started(&decision);
            world.carry_out(decision);
            if started.contains(&big.to_string()) {
                break;
            }
            passed += u32::try_from(started.len()).unwrap();
            prop_assert!(passed <= bypass, "{passed} have passed it");
            let up: Vec<RunId> = world.state.up().map(|run| run.run.clone()).collect();
            world.end(end.get(&up));
        }
        prop_assert!(world.state.runs[&big].state == QueueState::Running);
    }
}

fn urgent(runs: &[&QueuedRun]) -> usize {
    runs.iter().filter(|run| run.terms.now).count()
}
