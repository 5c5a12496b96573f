//! Starts units.
//!
//! A free slot should be filled at once, so a start waits for PID 1 only twice: for the state of the unit, and
//! for the answers to all calls of the start, which are sent together. PID 1 handles calls in their order.

use bij_core::port::{Started, UnitError};
use bij_core::{ActiveState, ExperimentId, LoadState, SubState};

use crate::bus::call;
use crate::error::Operation;
use crate::job::{JobKind, JobRequest, JobSuccess};
use crate::manager::{Manager, is_refused_by_condition};
use crate::properties::UnitProperties;
use crate::{ManagerError, UnitName};

pub(super) async fn start(manager: &Manager, id: &ExperimentId) -> Result<Started, UnitError> {
    let unit = &UnitName::from_experiment(id);
    let (request, before) =
        tokio::try_join!(JobRequest::subscribe(manager.bus(), unit), read_unit(manager, unit))?;
    match before.active {
        ActiveState::Active | ActiveState::Reloading => Ok(Started::AlreadyUp),
        // Before systemd 257 a start job waits here until RestartSec= is over; a restart job does not.
        ActiveState::Activating if before.sub_state == SubState::AutoRestart => {
            run_start_job(manager, id, request, JobKind::Restart).await
        }
        // A start is under way already, perhaps that of a restart that is due: ours joins it, and its counters must
        // not be reset.
        ActiveState::Activating if before.has_job => {
            request.send_and_wait(JobKind::Start).await?;
            start_result(id, &read_result(manager, unit).await?)
        }
        _ => run_start_job(manager, id, request, JobKind::Start).await,
    }
}

pub(super) async fn restart(manager: &Manager, id: &ExperimentId) -> Result<Started, UnitError> {
    let unit = &UnitName::from_experiment(id);
    let (request, _) =
        tokio::try_join!(JobRequest::subscribe(manager.bus(), unit), read_unit(manager, unit))?;
    run_start_job(manager, id, request, JobKind::Restart).await
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
/// [`ManagerError::NotFound`] if there is no template, [`ManagerError::NotLoaded`] if the unit cannot be started.
async fn read_unit(manager: &Manager, unit: &UnitName) -> Result<UnitBeforeStart, ManagerError> {
    let proxy = manager.bus().manager().await?;
    let operation = Operation::on("inspect", unit);
    let rows = call(operation, proxy.list_units_by_names(&[unit.as_str()])).await?;
    let not_found = || ManagerError::NotFound { unit: unit.clone() };
    let (_, _, load, active, sub_state, _, _, job, _, _) =
        rows.into_iter().next().ok_or_else(not_found)?;
    let load = LoadState::from(load);
    if load == LoadState::NotFound {
        return Err(not_found());
    }
    // A job would fail as well, but tell less: `NoSuchUnit` of a masked unit, for one.
    if !load.can_start() {
        return Err(ManagerError::NotLoaded { unit: unit.clone(), load });
    }
    Ok(UnitBeforeStart {
        active: ActiveState::from(active),
        sub_state: SubState::from(sub_state),
        has_job: job != 0,
    })
}

/// Reads only what the result of a start needs.
async fn read_result(manager: &Manager, unit: &UnitName) -> Result<UnitProperties, ManagerError> {
    const OF_UNIT: [&str; 3] = ["ActiveState", "ConditionTimestampMonotonic", "ConditionResult"];
    const OF_SERVICE: [&str; 3] = ["Result", "Environment", "ExecCondition"];
    manager.bus().some_properties(unit, &OF_UNIT, &OF_SERVICE).await
}

/// Starts the unit with one job and returns the result.
async fn run_start_job(
    manager: &Manager,
    id: &ExperimentId,
    request: JobRequest<'_>,
    kind: JobKind,
) -> Result<Started, UnitError> {
    let unit = &UnitName::from_experiment(id);
    // A caller may lack the right to reset the unit: then the start limit stands.
    let reset = async { drop(manager.reset_failed(unit).await) };
    let read = async |ended| match ended {
        Err(error) => Err(with_reason(manager, unit, UnitError::from(error)).await),
        // An older systemd returns this result where a newer one returns `done`.
        Ok(JobSuccess::Skipped) => match read_result(manager, unit).await {
            Ok(properties) => skip_result(id, &properties),
            Err(_) => Ok(Started::Skipped),
        },
        Ok(JobSuccess::Done) => match read_result(manager, unit).await {
            Ok(properties) => start_result(id, &properties),
            Err(error) => Err(error.into()),
        },
    };
    manager.run_pinned(unit, request, kind, reset, read).await?
}

/// Returns the result of a start whose job succeeded: up, or skipped by a condition.
///
/// A unit without a stamp has no drop-in: the bare template was started, which runs no experiment.
fn start_result(id: &ExperimentId, properties: &UnitProperties) -> Result<Started, UnitError> {
    if is_refused_by_condition(properties) {
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
async fn with_reason(manager: &Manager, unit: &UnitName, error: UnitError) -> UnitError {
    let UnitError::Job { id, verb, result, .. } = error else { return error };
    let properties = manager.bus().unit(unit).await.ok();
    let status = properties.as_ref().and_then(|properties| properties.text("StatusText"));
    let reason = status.map(|text| text.chars().filter(|c| !c.is_control()).collect());
    UnitError::Job { id, verb, result, reason }
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
