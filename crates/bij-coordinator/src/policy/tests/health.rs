//! Health of active runs.

use bij_core::port::Change;
use bij_core::queue::EventKind;
use bij_core::{InvocationId, Percent, TimeSpan};

use crate::policy::testing::*;
use crate::policy::{Action, Vitals};

fn judge(world: &mut World, seconds: u32, vitals: Vitals) -> Vec<String> {
    world.seen.now = now(seconds);
    world.seen.vitals.insert(run_id("a#1"), vitals);
    let decision = world.decide();
    let news = decision.actions.iter().filter_map(|action| match action {
        Action::Change(Change::Note { kind: EventKind::Health, data, .. }) => {
            Some(data.get("text").unwrap_or(&data["health"]).clone())
        }
        _ => None,
    });
    let news = news.collect();
    world.carry_out(decision);
    news
}

fn at_step(step: u64) -> Vitals {
    let stall_after = Some(TimeSpan::from_secs(60));
    Vitals { step: Some(step), stall_after, restarts: Some(0), ..Vitals::default() }
}

#[test]
fn a_run_without_a_new_step_is_stalled_until_it_makes_one() {
    let mut world = World::new([waiting("a#1").running()]);
    assert_eq!(judge(&mut world, 600, at_step(7)), [""; 0]);
    assert_eq!(judge(&mut world, 659, at_step(7)), [""; 0]);
    assert_eq!(judge(&mut world, 660, at_step(7)), ["still at step 7 after 1min"]);
    assert_eq!(judge(&mut world, 690, at_step(7)), [""; 0], "said once");
    assert_eq!(judge(&mut world, 720, at_step(8)), ["healthy"]);
}

#[test]
fn a_restart_resets_the_time_without_a_step_and_is_reported() {
    let mut world = World::new([waiting("a#1").running()]);
    judge(&mut world, 600, at_step(7));
    let invocation = Some(InvocationId::from_bytes([2; 16]));
    let again = Vitals { restarts: Some(1), invocation, ..at_step(7) };
    assert_eq!(judge(&mut world, 650, again.clone()), ["was restarted, 1 times by now"]);
    assert_eq!(judge(&mut world, 690, again.clone()), ["healthy"]);
    assert_eq!(judge(&mut world, 710, again), ["still at step 7 after 1min"]);
}

#[test]
fn a_start_after_a_stop_begins_the_time_without_a_step_anew() {
    let mut world = World::new([waiting("a#1").running()]);
    let in_invocation =
        |byte| Vitals { invocation: Some(InvocationId::from_bytes([byte; 16])), ..at_step(7) };
    judge(&mut world, 600, in_invocation(1));
    assert_eq!(judge(&mut world, 660, in_invocation(2)), [""; 0]);
    assert_eq!(judge(&mut world, 719, in_invocation(2)), [""; 0]);
    assert_eq!(judge(&mut world, 720, in_invocation(2)), ["still at step 7 after 1min"]);
}

#[test]
fn memory_near_its_limit_and_waiting_for_memory_are_degraded() {
    let mut world = World::new([waiting("a#1").running()]);
    let short = Vitals { memory: Some(gib(9)), memory_max: Some(gib(10)), ..Vitals::default() };
    assert_eq!(judge(&mut world, 600, short), ["uses 9.0G of its memory limit of 10.0G"]);
    assert_eq!(judge(&mut world, 630, Vitals::default()), ["healthy"]);
    let pressed = Vitals { memory_pressure: Some(Percent::new(21)), ..Vitals::default() };
    assert_eq!(judge(&mut world, 660, pressed), ["waits for memory 21% of the time"]);
}

#[test]
fn what_is_over_is_forgotten() {
    let mut world = World::new([waiting("a#1").running()]);
    judge(&mut world, 600, at_step(1));
    assert_eq!(world.state.health.len(), 1);
    world.end(&run_id("a#1"));
    world.seen.vitals.clear();
    assert!(world.decide().report.health.is_empty());
}

#[test]
fn a_listing_without_restarts_is_no_restart() {
    let mut world = World::new([waiting("a#1").running()]);
    assert_eq!(judge(&mut world, 600, Vitals { restarts: None, ..at_step(1) }), [""; 0]);
    assert_eq!(judge(&mut world, 630, at_step(2)), [""; 0], "it was never restarted");
    assert_eq!(judge(&mut world, 660, Vitals { restarts: None, ..at_step(3) }), [""; 0]);
    let restarted = judge(&mut world, 690, Vitals { restarts: Some(1), ..at_step(4) });
    assert_eq!(restarted, ["was restarted, 1 times by now"], "known from before the listing");
}
