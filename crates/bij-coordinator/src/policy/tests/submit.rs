//! Submission of runs to a state.

use bij_core::queue::{Dependencies, QueuePosition, QueueState, Submission};
use bij_core::{Bytes, RunNumber};

use crate::policy::testing::*;
use crate::policy::{Inadmissible, SubmitError};

fn submission(id: &str) -> Submission {
    Submission::new(experiment(id), "me")
}

fn claiming(id: &str, memory: Bytes) -> Submission {
    let mut submission = submission(id);
    submission.terms.claim.memory = Some(memory);
    submission
}

#[test]
fn a_submitted_run_has_the_next_number_and_the_last_position() {
    let mut world = World::new([waiting("a#4").position(7), waiting("b#1")]);
    let run = world.state.submit(&submission("a"), &world.seen).unwrap();
    assert_eq!((&run.run, run.position), (&run_id("a#5"), QueuePosition(8)));
    assert_eq!((&run.state, run.submitted), (&QueueState::Waiting, now(600).at));
    let held = Submission { held: Some("bob".to_owned()), ..submission("c") };
    let run = world.state.submit(&held, &world.seen).unwrap();
    assert_eq!((&run.run, run.position), (&run_id("c#1"), QueuePosition(9)));
    assert_eq!(run.state, QueueState::Held { by: "bob".to_owned() });
    assert_eq!(world.state.runs.len(), 4);
}

#[test]
fn a_run_that_can_never_start_is_refused_with_the_numbers() {
    let mut world = World::new([]);
    world.state.settings.total_memory = "32G".parse().ok();
    let error = world.state.submit(&claiming("a", gib(60)), &world.seen).unwrap_err();
    let source = Inadmissible::OverBudget { claim: gib(60), budget: gib(32) };
    assert_eq!(error, SubmitError::Inadmissible { experiment: experiment("a"), source });
    assert_eq!(
        error.to_string(),
        "a could never start: claims 60.0G of memory, more than the budget of 32.0G"
    );
    assert!(world.state.runs.is_empty());
    world.state.submit(&claiming("a", gib(32)), &world.seen).unwrap();
}

#[test]
fn runs_that_would_wait_for_each_other_are_refused() {
    let mut world = World::new([waiting("a#1").after(&["b"])]);
    let mut second = submission("b");
    second.terms.after = Dependencies::All(["a".parse().unwrap()].into_iter().collect());
    let error = world.state.submit(&second, &world.seen).unwrap_err();
    assert!(matches!(error, SubmitError::Cycle(_)), "{error}");
    assert_eq!(world.state.runs.len(), 1);
}

#[test]
fn an_experiment_without_a_number_left_is_refused() {
    let mut world = World::new([]);
    world.state.numbers.insert(experiment("a"), RunNumber(u32::MAX));
    let error = world.state.submit(&submission("a"), &world.seen).unwrap_err();
    assert_eq!(error, SubmitError::NoNumberLeft(experiment("a")));
    world.state.submit(&submission("b"), &world.seen).unwrap();
}
