//! Those that have more of the GPU's memory than they may.
//!
//! On a board where the GPU shares the machine's memory, what its driver hands out is charged to no
//! control group: `MemoryMax=` does not bound it, and the kernel kills whoever is in the way. So it is
//! bounded here, by `[gpu] memory`.

use bij_core::port::Change;
use bij_core::queue::QueuedRun;
use bij_core::{Bytes, ExperimentId, Order, OrderKind, TimeSpan};

use super::heat::put_first;
use super::stopping::OURSELVES;
use super::time::after;
use super::{Action, Observation, Report, State, health};
use crate::Health;

/// What an experiment has of the GPU's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuUse {
    /// So much.
    pub used: Bytes,
    /// It may have so much: `[gpu] memory`.
    pub limit: Bytes,
}

/// Stops those that have had too much for longer than they may.
///
/// One that is down, or waits to be restarted, has nothing; a reading that says otherwise is from
/// before.
pub(super) fn guard(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
    let mut actions = Vec::new();
    let grace = state.settings.gpu_memory_grace();
    let over = seen.gpu_memory.iter().filter(|(_, GpuUse { used, limit })| used > limit);
    for (experiment, gpu_use) in over.filter(|(experiment, _)| seen.lives(experiment)) {
        let before = state.over_gpu_memory.get(experiment).copied();
        let since = before.unwrap_or(seen.now.uptime);
        report.over_gpu_memory.insert(experiment.clone(), since);
        let patience_ends = after(since, grace);
        if seen.now.uptime < patience_ends {
            report.look_at(patience_ends);
        } else if !state.busy.contains_key(experiment) && !state.stops.contains_key(experiment) {
            actions.extend(stop(experiment, *gpu_use, grace, state));
        }
    }
    actions
}

/// Brings back those that were stopped for it, as systemd does with those that the kernel has killed
/// for memory: after the delay of their definition, as long as they have restarts left.
///
/// A unit that was stopped is not brought back by `Restart=`, so this is done here; till then the run
/// stays up, as one does whose unit waits to be restarted.
pub(super) fn bring_back(state: &State, seen: &Observation, report: &mut Report) -> Vec<Change> {
    let mut back: Vec<&QueuedRun> = Vec::new();
    for run in state.up().filter(|run| !state.busy.contains_key(&run.run.experiment)) {
        let Some(lost) = seen.lost_by(run, OrderKind::GpuMemory) else { continue };
        let Some(delay) = lost.restart_after else { continue };
        let due = after(lost.since, delay);
        if seen.now.uptime < due {
            report.look_at(due);
        } else {
            back.push(run);
        }
    }
    back.sort_by(|a, b| a.order().cmp(&b.order()));
    put_first(state, &back, "it was stopped because it had more of the GPU's memory than it may")
}

fn stop(
    experiment: &ExperimentId,
    GpuUse { used, limit }: GpuUse,
    grace: TimeSpan,
    state: &State,
) -> impl Iterator<Item = Action> + use<> {
    let reason = format!("has {used} of the GPU's memory, for {grace} more than its {limit}");
    let by = format!("{OURSELVES}: {experiment} {reason}");
    let told = state
        .up_of(experiment)
        .map(|run| Action::Change(health::note(&run.run, &Health::Degraded { reason })));
    let order = Order { kind: OrderKind::GpuMemory, by };
    told.into_iter().chain([Action::Stop { experiment: experiment.clone(), order }])
}
