//! Gate of runs that wait for the board to cool down.
//!
//! Running experiments are restrained by the [ladder](crate::thermal), which needs no store and acts even
//! while no decision can be made.

use bij_core::OrderKind;
use bij_core::port::Change;
use bij_core::queue::{ClosedGate, QueueState, QueuedRun};

use super::{Observation, State};
use crate::thermal::{ThermalLevel, ThermalReason, ThermalStatus};

/// Returns the heat gate of a run, if it is closed. A run that passes the gates passes this one too,
/// except at the critical level.
pub fn thermal_gate(run: &QueuedRun, state: &State, seen: &Observation) -> Option<ClosedGate> {
    let ThermalStatus { level, held, replacement, too_hot_for } = &seen.thermal;
    let experiment = &run.run.experiment;
    let passes = run.terms.now && *level != ThermalLevel::Critical;
    let held = held.as_ref().filter(|_| replacement.as_ref() != Some(experiment));
    let reason = held.or_else(|| too_hot_for.get(experiment));
    reason.filter(|_| !passes).map(|reason| gate(reason, state))
}

fn gate(reason: &ThermalReason, state: &State) -> ClosedGate {
    let limit = match reason {
        ThermalReason::TooHotFor { limit, .. } => *limit,
        ThermalReason::Zone { .. } | ThermalReason::Unreadable(_) | ThermalReason::NoZones => {
            state.settings.throttle()
        }
    };
    ClosedGate::Heat { why: reason.to_string(), celsius: reason.celsius(), limit }
}

/// Requeues the runs that were stopped for heat, before all others of their priority.
pub(super) fn requeue_stopped(state: &State, seen: &Observation) -> Vec<Change> {
    let mut stopped: Vec<&QueuedRun> =
        state.running().filter(|run| was_stopped_for_heat(run, seen)).collect();
    stopped.sort_by(|a, b| a.order().cmp(&b.order()));
    requeue_first(state, &stopped, "it was stopped because the board was too hot")
}

/// Puts runs that were up back into the queue, before all others of their priority.
pub fn requeue_first(state: &State, runs: &[&QueuedRun], why: &str) -> Vec<Change> {
    let waits = |run: &QueuedRun| Change::State {
        run: run.run.clone(),
        from: Some(run.state.clone()),
        state: QueueState::Waiting,
        why: why.to_owned(),
    };
    let moved =
        |run: &QueuedRun, position| Change::Move { run: run.run.clone(), position, by: None };
    let positions = state.positions_before_all(runs.len());
    runs.iter()
        .zip(positions)
        .flat_map(|(run, position)| [waits(run), moved(run, position)])
        .collect()
}

/// Returns whether heat ended the run's newest attempt and its unit is down.
pub(super) fn was_stopped_for_heat(run: &QueuedRun, seen: &Observation) -> bool {
    seen.missing_by(run, OrderKind::Heat).is_some()
}
