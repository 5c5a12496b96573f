//! Runs that should be up while nobody brings their unit back.

use bij_core::port::Change;
use bij_core::queue::QueueState;
use bij_core::{ActiveState, Cause, OrderKind, RunEnd, TimeSpan};

use super::heat::was_stopped;
use super::time::after;
use super::{Action, LastAttempt, Observation, Report, State};

/// For so long the end of an attempt may stay unrecorded: its hook may still be at work, or have
/// left a note that another takes in. Then the run is not kept from ending.
const PATIENCE: TimeSpan = TimeSpan::from_secs(60);

/// Ends running ones whose unit is down for good.
///
/// A unit that waits to be restarted is `activating`, and one that is just being restarted has a job,
/// so `failed` and `inactive` without one are final: systemd brings nothing back, because the start
/// limit was hit or somebody told it to forget the failure.
pub(super) fn give_up(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
    let mut actions = Vec::new();
    let running = state.up().filter(|run| run.state == QueueState::Running);
    for run in running {
        let experiment = &run.run.experiment;
        let Some(lost) = seen.lost.get(&run.run) else { continue };
        let brought_back = seen.is_up(experiment) || seen.is_coming_up(experiment);
        let waits_for_cold = was_stopped(run, seen);
        let for_memory = seen.lost_by(run, OrderKind::GpuMemory);
        let comes_back = for_memory.is_some_and(|lost| lost.restart_after.is_some());
        if brought_back || waits_for_cold || comes_back || state.busy.contains_key(experiment) {
            continue;
        }
        let failed = (seen.units.get(experiment))
            .is_some_and(|unit| unit.active_state == ActiveState::Failed);
        let patience_ends = after(lost.since, PATIENCE);
        let by = match lost.last {
            // The machine or the user's manager is going down; the coordinator that comes after it
            // carries the run on.
            LastAttempt::Ended(Cause::Reboot | Cause::ManagerStop | Cause::PowerLoss) => continue,
            LastAttempt::Open if seen.now.uptime < patience_ends => {
                report.look_at(patience_ends);
                continue;
            }
            _ if for_memory.is_some() => {
                "it had more of the GPU's memory than it may, and its restarts are used up"
            }
            LastAttempt::Ended(_) if failed => "its restarts are used up",
            LastAttempt::Ended(_) => "its unit is down after a crash, and nothing brings it back",
            LastAttempt::Open => "its unit is down, and nobody has recorded how that came about",
        };
        // Its unit was stopped, and whoever saw to that was gone before it could say so.
        let (end, by) = match &run.stop {
            Some(stopper) => (RunEnd::Stopped, stopper.clone()),
            None => (RunEnd::GaveUp, by.to_owned()),
        };
        actions.push(Action::Change(Change::End { run: run.run.clone(), end, by }));
    }
    actions
}
