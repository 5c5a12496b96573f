//! Ends runs whose unit is down for good.

use bij_core::port::Change;
use bij_core::queue::QueueState;
use bij_core::{ActiveState, Cause, OrderKind, RunEnd, TimeSpan};

use super::heat::was_stopped_for_heat;
use super::{Action, LastAttempt, Observation, Report, State};

/// How long the end of an attempt may stay unrecorded before its run is ended: its hook may still be
/// running, or its record may still be in the runtime directory.
const END_RECORD_TIMEOUT: TimeSpan = TimeSpan::from_secs(60);

/// Ends the running runs whose unit is down for good.
///
/// A unit that waits for its restart is `activating`, and one that is just being restarted has a job. So
/// `failed` and `inactive` without a job are final: systemd does not restart the unit, because the start
/// limit was hit or the failure was reset.
pub(super) fn give_up(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
    let mut actions = Vec::new();
    let running = state.up().filter(|run| run.state == QueueState::Running);
    for run in running {
        let experiment = &run.run.experiment;
        let Some(missing) = seen.missing_units.get(&run.run) else { continue };
        let is_back = seen.is_up(experiment) || seen.is_coming_up(experiment);
        let is_stopped_for_heat = was_stopped_for_heat(run, seen);
        let stopped_for_memory = seen.missing_by(run, OrderKind::GpuMemory);
        let is_restarted_later =
            stopped_for_memory.is_some_and(|missing| missing.restart_after.is_some());
        if is_back
            || is_stopped_for_heat
            || is_restarted_later
            || state.busy.contains_key(experiment)
            || seen.is_being_closed(&run.run)
        {
            continue;
        }
        let failed = (seen.units.get(experiment))
            .is_some_and(|unit| unit.active_state == ActiveState::Failed);
        let timeout = missing.since + END_RECORD_TIMEOUT;
        let by = match missing.last {
            // The machine or the user's manager is going down; the next coordinator resumes the run.
            LastAttempt::Ended(Cause::Reboot | Cause::ManagerStop | Cause::PowerLoss) => continue,
            LastAttempt::Open if seen.now.uptime < timeout => {
                report.decide_again_at(timeout);
                continue;
            }
            _ if stopped_for_memory.is_some() => {
                "it exceeded its limit of the GPU's memory, and its restarts are used up"
            }
            LastAttempt::Ended(_) if failed => "its restarts are used up",
            LastAttempt::Ended(_) => {
                "its unit is down after a crash, and systemd does not restart it"
            }
            LastAttempt::Open => "its unit is down, and the end of its attempt was never recorded",
        };
        // A stop was requested, and the coordinator that carried it out ended before it recorded the end.
        let (end, by) = match &run.stop {
            Some(stopper) => (RunEnd::Stopped, stopper.clone()),
            None => (RunEnd::GaveUp, by.to_owned()),
        };
        actions.push(Action::Change(Change::End { run: run.run.clone(), end, by }));
    }
    actions
}
