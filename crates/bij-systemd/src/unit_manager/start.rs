//! Starts units.
//!
//! A free slot should be filled at once, so a start waits for PID 1 only twice: for the state of the unit, and
//! for the answers to all calls of the start, which are sent together. PID 1 handles calls in their order.

use bij_core::port::{LoadState, Started, UnitError};
use bij_core::{ActiveState, ExperimentId, SubState};
use futures_util::future::join3;

use super::{active_state, reset_failed};
use crate::bus::{Bus, Operation, call};
use crate::job::{JobRequest, JobSuccess, JobVerb};
use crate::properties::UnitProperties;

pub(super) async fn start(bus: &Bus, id: &ExperimentId) -> Result<Started, UnitError> {
    let (request, unit) = tokio::try_join!(JobRequest::subscribe(bus, id), read_unit(bus, id))?;
    match unit.active {
        ActiveState::Active | ActiveState::Reloading => Ok(Started::AlreadyUp),
        // Before systemd 257 a start job waits here until RestartSec= is over; a restart job does not.
        ActiveState::Activating if unit.sub_state == SubState::AutoRestart => {
            run_start_job(bus, id, request, JobVerb::Restart).await
        }
        // A start is under way already, perhaps that of a restart that is due: ours joins it, and its counters must
        // not be reset.
        ActiveState::Activating if unit.has_job => {
            request.send_and_wait(JobVerb::Start).await?;
            start_result(id, &bus.start_properties(id).await?)
        }
        _ => run_start_job(bus, id, request, JobVerb::Start).await,
    }
}

pub(super) async fn restart(bus: &Bus, id: &ExperimentId) -> Result<Started, UnitError> {
    let (request, _) = tokio::try_join!(JobRequest::subscribe(bus, id), read_unit(bus, id))?;
    run_start_job(bus, id, request, JobVerb::Restart).await
}

/// The state of a unit that decides how it is started.
struct UnitBeforeStart {
    active: ActiveState,
    sub_state: SubState,
    has_job: bool,
}

/// Reads only the state that a start needs: reading all properties of a unit takes PID 1 ten times as long.
///
/// # Errors
/// [`UnitError::NotFound`] if there is no template, [`UnitError::NotLoaded`] if the unit cannot be started.
async fn read_unit(bus: &Bus, id: &ExperimentId) -> Result<UnitBeforeStart, UnitError> {
    let manager = bus.manager().await?;
    let operation = Operation { verb: "inspect", id: Some(id) };
    let rows = call(operation, manager.list_units_by_names(&[&id.unit_name()])).await?;
    let not_found = || UnitError::NotFound(id.clone());
    let (_, _, load, active, sub_state, _, _, job, _, _) =
        rows.into_iter().next().ok_or_else(not_found)?;
    if load == "not-found" {
        return Err(not_found());
    }
    // A job would fail as well, but tell less: `NoSuchUnit` of a masked unit, for one.
    if let Some(load) = LoadState::from_systemd(&load) {
        return Err(UnitError::NotLoaded { id: id.clone(), load });
    }
    Ok(UnitBeforeStart {
        active: ActiveState::from(active),
        sub_state: SubState::from(sub_state),
        has_job: job != 0,
    })
}

/// Starts the unit with one job and returns the result.
async fn run_start_job(
    bus: &Bus,
    id: &ExperimentId,
    request: JobRequest<'_>,
    verb: JobVerb,
) -> Result<Started, UnitError> {
    let manager = bus.manager().await?;
    let unit = id.unit_name();
    let pin = Operation { verb: "pin", id: Some(id) };
    // systemd unloads a unit that is down again at once, and with it the result. A reference keeps it loaded
    // until the result is read. The calls are sent in the order in which they are polled here.
    let (reset, pinned, given) =
        join3(reset_failed(bus, id), call(pin, manager.ref_unit(&unit)), request.send(verb)).await;
    // A caller may lack the right to reset the unit: then the start limit stands. Without the right to
    // reference the unit, the result is less exact.
    drop(reset);
    let result = match given {
        Ok(job) => request.wait(verb, &job).await,
        Err(error) => Err(error),
    };
    let started = match result {
        Err(error) => Err(with_reason(bus, id, error).await),
        // An older systemd returns this result where a newer one returns `done`.
        Ok(JobSuccess::Skipped) => match bus.start_properties(id).await {
            Ok(properties) => skip_result(id, &properties),
            Err(_) => Ok(Started::Skipped),
        },
        Ok(JobSuccess::Done) => match bus.start_properties(id).await {
            Ok(properties) => start_result(id, &properties),
            Err(error) => Err(error),
        },
    };
    if pinned.is_ok() {
        // If this fails, the reference ends with the connection.
        let _ = call(pin, manager.unref_unit(&unit)).await;
    }
    started
}

/// Returns the result of a start whose job succeeded: up, or skipped by a condition.
///
/// A unit whose conditions were never checked was loaded anew since: it ran and has ended. A unit without a
/// stamp has no drop-in: the bare template was started, which runs no experiment.
fn start_result(id: &ExperimentId, properties: &UnitProperties) -> Result<Started, UnitError> {
    let down = active_state(properties) == ActiveState::Inactive;
    let was_checked = properties.monotonic("ConditionTimestampMonotonic").is_some();
    let refused = properties.flag("ConditionResult") == Some(false)
        || properties.text("Result") == Some("exec-condition");
    if down && was_checked && refused {
        return skip_result(id, properties);
    }
    match properties.variable("BIJ_STAMP") {
        Some(_) => Ok(Started::Up),
        None => Err(UnitError::NotFound(id.clone())),
    }
}

/// Returns the result of a start that a condition prevented: skipped, or an error if the condition's program
/// could not be run.
fn skip_result(id: &ExperimentId, properties: &UnitProperties) -> Result<Started, UnitError> {
    let mut statuses = properties.condition_statuses().into_iter();
    match statuses.find(|status| condition_never_ran(*status)) {
        Some(status) => Err(UnitError::NotPrepared {
            id: id.clone(),
            status,
            meaning: exit_status_name(status),
        }),
        None => Ok(Started::Skipped),
    }
}

/// Adds the unit's status text to the error of a job: its hook writes the reason there when it refuses a start.
/// To be called while the unit is pinned, because systemd unloads a unit that is down.
async fn with_reason(bus: &Bus, id: &ExperimentId, error: UnitError) -> UnitError {
    let UnitError::Job { id: job_id, verb, result, .. } = error else { return error };
    let properties = bus.unit(id).await.ok();
    let status = properties.as_ref().and_then(|properties| properties.text("StatusText"));
    let reason = status.map(|text| text.chars().filter(|c| !c.is_control()).collect());
    UnitError::Job { id: job_id, verb, result, reason }
}

/// Returns `true` if an exit code of a condition is not its answer: systemd could not start the process
/// (systemd.exec(5), "Process Exit Codes"), for example on a full file system, or the program could not be
/// executed, or it panicked. systemd skips the unit in all of these cases.
const fn condition_never_ran(status: i32) -> bool {
    matches!(status, 101 | 126 | 127 | 200..=254)
}

/// Returns the name of an exit code that a full or read-only file system causes; empty for others.
const fn exit_status_name(status: i32) -> &'static str {
    match status {
        200 => "/CHDIR",
        203 => "/EXEC",
        209 => "/STDOUT",
        217 => "/USER",
        219 => "/CGROUP",
        226 => "/NAMESPACE",
        233 => "/RUNTIME_DIRECTORY",
        238 => "/STATE_DIRECTORY",
        240 => "/LOGS_DIRECTORY",
        _ => "",
    }
}
