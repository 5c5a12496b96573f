//! Stops experiments that use more of the GPU's memory than `[gpu] memory` allows, and restarts them.
//!
//! On a board where the GPU shares the machine's memory, memory that its driver allocates is charged to no
//! control group: `MemoryMax=` does not bound it, and the OOM killer may hit any process. So the
//! coordinator enforces the limit.

use bij_core::port::Change;
use bij_core::queue::QueuedRun;
use bij_core::{Bytes, ExperimentId, Order, OrderKind, TimeSpan};

use super::thermal::requeue_first;
use super::unit_orders::OURSELVES;
use super::{Action, Observation, Report, State, health};
use crate::Health;

/// An experiment's use of the GPU's memory, and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuUse {
    /// Memory in use.
    pub used: Bytes,
    /// `[gpu] memory`.
    pub limit: Bytes,
}

/// Stops the experiments that have exceeded their limit for longer than the grace period.
///
/// An experiment without processes uses none: a reading that says otherwise is outdated.
pub(super) fn guard(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
    let mut actions = Vec::new();
    let grace = state.settings.gpu_memory_grace();
    let over = seen.gpu_memory.iter().filter(|(_, GpuUse { used, limit })| used > limit);
    for (experiment, gpu_use) in over.filter(|(experiment, _)| seen.has_processes(experiment)) {
        let before = state.over_gpu_memory.get(experiment).copied();
        let since = before.unwrap_or(seen.now.uptime);
        report.over_gpu_memory.insert(experiment.clone(), since);
        let grace_ends = since + grace;
        if seen.now.uptime < grace_ends {
            report.decide_again_at(grace_ends);
        } else if !state.busy.contains_key(experiment) && !state.stops.contains_key(experiment) {
            actions.extend(stop(experiment, *gpu_use, grace, state));
        }
    }
    actions
}

/// Requeues the runs that were stopped for it, as systemd restarts units after an OOM kill: after the delay
/// of their definition, as long as restarts are left.
///
/// `Restart=` does not apply to a unit that was stopped, so it is done here. Until then the run stays up,
/// like a run whose unit waits for its restart.
pub(super) fn requeue_stopped(
    state: &State,
    seen: &Observation,
    report: &mut Report,
) -> Vec<Change> {
    let mut due_runs: Vec<&QueuedRun> = Vec::new();
    for run in state.running().filter(|run| !state.busy.contains_key(&run.run.experiment)) {
        let Some(missing) = seen.missing_by(run, OrderKind::GpuMemory) else { continue };
        let Some(delay) = missing.restart_after else { continue };
        let due = missing.since + delay;
        if seen.now.uptime < due {
            report.decide_again_at(due);
        } else {
            due_runs.push(run);
        }
    }
    due_runs.sort_by(|a, b| a.order().cmp(&b.order()));
    requeue_first(
        state,
        &due_runs,
        "it was stopped because it exceeded its limit of the GPU's memory",
    )
}

fn stop(
    experiment: &ExperimentId,
    GpuUse { used, limit }: GpuUse,
    grace: TimeSpan,
    state: &State,
) -> impl Iterator<Item = Action> + use<> {
    let reason =
        format!("uses {used} of the GPU's memory, for {grace} more than its limit of {limit}");
    let by = format!("{OURSELVES}: {experiment} {reason}");
    let note = state
        .up_of(experiment)
        .map(|run| Action::Change(health::note(&run.run, &Health::Degraded { reason })));
    let order = Order { kind: OrderKind::GpuMemory, by };
    note.into_iter().chain([Action::Stop { experiment: experiment.clone(), order }])
}
