//! Kills the processes of a unit with SIGKILL.

use std::time::Duration;

use bij_cgroup::{CgroupPath, CgroupRoot};
use bij_core::ExperimentId;
use bij_core::port::UnitError;
use tokio::time::{Instant, sleep, timeout};

use super::is_down;
use crate::bus::{Bus, Operation, call};
use crate::list;

/// Time-out of a call here: a kill must not wait for a busy manager.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long `ExecStopPost=` may take to record the end; the experiment's other processes live on meanwhile.
const HOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the unit is polled for the end of the hook.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const SIGKILL: i32 = 9;

/// Kills a unit through the manager; if the manager does not answer at once, through the kernel (cgroup v2,
/// Linux 5.14), which also kills the hooks.
///
/// The main process is killed first. The others live until the stop hook has run: `KillUnit` of all would kill
/// the hook too, and the end would not be recorded.
pub(super) async fn kill(
    bus: &Bus,
    cgroups: Option<&CgroupRoot>,
    id: &ExperimentId,
) -> Result<(), UnitError> {
    let failed = match kill_main(bus, id).await {
        Ok(()) => match kill_rest(bus, id).await {
            Err(error @ UnitError::Unreachable(_)) => error,
            result => return result,
        },
        Err(error @ UnitError::Unreachable(_)) => error,
        Err(error) => return Err(error),
    };
    let Some(root) = cgroups else { return Err(failed) };
    let unit = id.unit_name();
    let groups = root.find(&CgroupPath::root(), list::DEPTH, |name| name == unit);
    let mut killed = Err(failed);
    for group in groups {
        if root.at(&group).kill().is_ok() {
            killed = Ok(());
        }
    }
    killed
}

async fn kill_main(bus: &Bus, id: &ExperimentId) -> Result<(), UnitError> {
    match kill_unit(bus, id, "main").await {
        // The unit is unloaded, or has no main process any more.
        Err(UnitError::NotFound(_) | UnitError::Refused { .. }) => Ok(()),
        result => result,
    }
}

async fn kill_rest(bus: &Bus, id: &ExperimentId) -> Result<(), UnitError> {
    let deadline = Instant::now() + HOOK_TIMEOUT;
    while Instant::now() < deadline {
        let unit = with_timeout(bus.unit(id)).await?;
        let state = unit.sub_state();
        if is_down(&unit) || state.is_waiting_for_restart() {
            return Ok(());
        }
        if state.is_final() {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    match kill_unit(bus, id, "all").await {
        Err(UnitError::NotFound(_)) => Ok(()),
        result => result,
    }
}

async fn kill_unit(bus: &Bus, id: &ExperimentId, whom: &str) -> Result<(), UnitError> {
    let operation = Operation { verb: "kill", id: Some(id) };
    with_timeout(async {
        let manager = bus.manager().await?;
        call(operation, manager.kill_unit(&id.unit_name(), whom, SIGKILL)).await
    })
    .await
}

async fn with_timeout<T>(
    answer: impl Future<Output = Result<T, UnitError>>,
) -> Result<T, UnitError> {
    let answer = timeout(CALL_TIMEOUT, answer).await;
    answer.unwrap_or_else(|late| Err(UnitError::Unreachable(late.into())))
}
