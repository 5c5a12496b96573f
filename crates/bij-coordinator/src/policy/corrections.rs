//! Corrections of what the store says of queued runs: they hold whether or not the store can take them now.

use bij_core::port::Change;
use bij_core::queue::{NotBefore, Origin, QueuedRun, Terms};

use super::{Observation, State};

/// Returns the corrections that are due before a decision: delays that were counted in another boot, and the
/// claims of runs that were started without a submission.
pub fn corrections(state: &State, seen: &Observation) -> Vec<Change> {
    let mut edits: Vec<Change> = state
        .runs
        .values()
        .filter(|run| !run.state.is_up())
        .filter_map(|run| carry_delay_over(run, state, seen))
        .collect();
    if seen.unreachable.is_none() {
        edits.extend(claims_of_started_runs(state, seen));
    }
    edits
}

/// Converts a delay that was counted in another boot to the current one.
fn carry_delay_over(run: &QueuedRun, state: &State, seen: &Observation) -> Option<Change> {
    let not_before = match run.terms.not_before? {
        NotBefore::At(_) => return None,
        NotBefore::Delay(delay) => {
            NotBefore::Delay(delay.carried_over(state.boot, seen.now.at, seen.now.uptime)?)
        }
    };
    let terms = Box::new(Terms { not_before: Some(not_before), ..run.terms.clone() });
    Some(Change::Edit { run: run.run.clone(), terms, by: "the new boot".to_owned() })
}

/// Gives each run that was started without a submission the terms of its definition, so that its claim counts.
fn claims_of_started_runs(state: &State, seen: &Observation) -> Vec<Change> {
    let started = state.up().filter(|run| is_without_claim(run));
    let edits = started.filter_map(|run| {
        let terms = seen.definition_terms.get(&run.run).filter(|it| **it != Terms::default())?;
        let (terms, by) = (Box::new(terms.clone()), "its definition".to_owned());
        Some(Change::Edit { run: run.run.clone(), terms, by })
    });
    edits.collect()
}

/// Returns whether a run was started without a submission and has not got the terms of its definition.
pub(crate) fn is_without_claim(run: &QueuedRun) -> bool {
    run.origin == Origin::Start && run.terms == Terms::default()
}
