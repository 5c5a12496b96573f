//! What waits for the board to cool down.
//!
//! What is done to those that run is the business of the [ladder](crate::heat), which needs no store
//! and acts though nothing can be decided here.

use std::collections::BTreeMap;

use bij_core::port::Change;
use bij_core::queue::{ClosedGate, QueueState, QueuedRun};
use bij_core::{Celsius, ExperimentId, OrderKind};

use super::{Observation, State};
use crate::heat::{Because, Level};

/// How the ladder stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warmth {
    /// How high.
    pub level: Level,
    /// Why nothing is started, if nothing is.
    pub held: Option<Because>,
    /// Whom this keeps from nothing: it may take the place of one that has ended.
    pub replacement: Option<ExperimentId>,
    /// Experiments that are not started for a limit of their own.
    pub too_hot_for: BTreeMap<ExperimentId, Because>,
}

/// The gate of one run, if it is closed. What passes the gates passes this one as well, unless
/// everything is being stopped.
pub fn closed_by_heat(run: &QueuedRun, state: &State, seen: &Observation) -> Option<ClosedGate> {
    let Warmth { level, held, replacement, too_hot_for } = &seen.warmth;
    let experiment = &run.run.experiment;
    let passes = run.terms.now && *level != Level::Critical;
    let held = held.as_ref().filter(|_| replacement.as_ref() != Some(experiment));
    let because = held.or_else(|| too_hot_for.get(experiment));
    because.filter(|_| !passes).map(|because| gate(because, state))
}

fn gate(because: &Because, state: &State) -> ClosedGate {
    let limit = match because {
        Because::TooHotFor { limit, .. } => *limit,
        Because::Zone { .. } | Because::Lost(_) | Because::NoZones => state.settings.throttle(),
    };
    ClosedGate::Heat { why: because.to_string(), celsius: reading(because), limit }
}

/// The reading in a reason, if it has one.
pub(crate) const fn reading(because: &Because) -> Option<Celsius> {
    match because {
        Because::Zone { celsius, .. } | Because::TooHotFor { celsius, .. } => Some(*celsius),
        Because::Lost(_) | Because::NoZones => None,
    }
}

/// Puts back what was stopped for heat: before all others of its priority.
pub(super) fn put_back(state: &State, seen: &Observation) -> Vec<Change> {
    let mut stopped: Vec<&QueuedRun> = state.up().filter(|run| was_stopped(run, seen)).collect();
    stopped.sort_by(|a, b| a.order().cmp(&b.order()));
    put_first(state, &stopped, "it was stopped because the board was too hot")
}

/// Has those that were up wait, before all others of their priority.
pub fn put_first(state: &State, runs: &[&QueuedRun], why: &str) -> Vec<Change> {
    let waits = |run: &QueuedRun| Change::State {
        run: run.run.clone(),
        from: Some(run.state.clone()),
        state: QueueState::Waiting,
        why: why.to_owned(),
    };
    let moved = |run: &QueuedRun, place| Change::Move { run: run.run.clone(), place, by: None };
    let places = state.places_before_all(runs.len());
    runs.iter().zip(places).flat_map(|(run, place)| [waits(run), moved(run, place)]).collect()
}

/// Whether a run's newest attempt was ended by heat and nothing of it is up.
pub(super) fn was_stopped(run: &QueuedRun, seen: &Observation) -> bool {
    seen.lost_by(run, OrderKind::Heat).is_some()
}
