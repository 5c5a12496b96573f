//! Runs that would wait for each other for ever.

use bij_core::queue::QueuedRun;

use crate::policy::testing::*;
use crate::policy::{Joining, find_cycle};

fn joins(world: &World, runs: &[QueuedRun]) -> Result<(), String> {
    let joining: Vec<_> = runs
        .iter()
        .map(|run| Joining { run: None, experiment: &run.run.experiment, after: &run.terms.after })
        .collect();
    find_cycle(&world.state, &joining).map_err(|cycle| cycle.to_string())
}

#[test]
fn a_run_that_waits_for_itself_is_refused() {
    let said = joins(&World::new([]), &[waiting("a#1").after(&["a"])]).unwrap_err();
    let remedy = "leave that out of `after`, or name an earlier run: a#1";
    assert_eq!(said, format!("a run of a cannot wait for itself, the newest one: {remedy}"));
    assert_eq!(joins(&World::new([]), &[waiting("a#2").after(&["a#1"])]), Ok(()));
}

#[test]
fn a_circle_through_the_queue_is_refused_and_named() {
    let world = World::new([
        waiting("z#1").after(&["c"]),
        waiting("b#1").after(&["a"]),
        waiting("c#1").after(&["b"]),
    ]);
    let said = joins(&world, &[waiting("a#1").after(&["z"])]).unwrap_err();
    assert!(said.starts_with("a, z, c, b wait for each other"), "{said}");
    assert_eq!(joins(&world, &[waiting("a#1").after(&["x"])]), Ok(()));
}

#[test]
fn a_circle_within_one_submission_is_refused() {
    let runs = [waiting("a#1").after(&["b"]), waiting("b#1").after(&["a"])];
    assert!(joins(&World::new([]), &runs).is_err());
    let runs = [waiting("a#1").after(&["b"]), waiting("b#1")];
    assert_eq!(joins(&World::new([]), &runs), Ok(()));
}

#[test]
fn a_circle_that_any_other_run_opens_is_none() {
    let world = World::new([waiting("b#1").after(&["a"])]);
    assert_eq!(joins(&world, &[waiting("a#1").after_any(&["b", "x"])]), Ok(()));
    assert!(joins(&world, &[waiting("a#1").after_any(&["b"])]).is_err());
}

#[test]
fn a_run_is_checked_with_its_new_dependencies() {
    let world = World::new([waiting("a#1"), waiting("b#1").after(&["a"])]);
    let changed = waiting("a#1").after(&["b"]);
    let (run, experiment) = (&changed.run, &changed.run.experiment);
    let joining = Joining { run: Some(run), experiment, after: &changed.terms.after };
    assert!(find_cycle(&world.state, &[joining]).is_err());
}

#[test]
fn a_chain_of_any_length_is_no_circle() {
    let chain: Vec<_> = (1..=10_000)
        .map(|at| waiting(&format!("e{at}#1")).after(&[&format!("e{}", at - 1)]))
        .collect();
    assert_eq!(joins(&World::new([]), &chain), Ok(()));
}
