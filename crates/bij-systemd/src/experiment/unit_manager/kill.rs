//! Kills the processes of a unit with SIGKILL.

use std::time::Duration;

use bij_cgroup::CgroupPath;
use bij_core::ExperimentId;
use tokio::time::{Instant, sleep, timeout};

use super::is_down;
use crate::manager::{KillWhom, Manager, SEARCH_DEPTH};
use crate::{ManagerError, UnitName};

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
pub(super) async fn kill(manager: &Manager, id: &ExperimentId) -> Result<(), ManagerError> {
    let unit = UnitName::from_experiment(id);
    let failed = match kill_main(manager, &unit).await {
        Ok(()) => match kill_rest(manager, &unit).await {
            Err(error @ ManagerError::Unreachable(_)) => error,
            result => return result,
        },
        Err(error @ ManagerError::Unreachable(_)) => error,
        Err(error) => return Err(error),
    };
    let Some(root) = manager.cgroups() else { return Err(failed) };
    let groups = root.find(&CgroupPath::root(), SEARCH_DEPTH, |name| name == unit.as_str());
    let mut killed = Err(failed);
    for group in groups {
        if root.at(&group).kill().is_ok() {
            killed = Ok(());
        }
    }
    killed
}

async fn kill_main(manager: &Manager, unit: &UnitName) -> Result<(), ManagerError> {
    match with_timeout(manager.kill(unit, KillWhom::Main, SIGKILL)).await {
        // The unit is unloaded, or has no main process any more.
        Err(ManagerError::NotFound { .. } | ManagerError::Refused { .. }) => Ok(()),
        result => result,
    }
}

async fn kill_rest(manager: &Manager, unit: &UnitName) -> Result<(), ManagerError> {
    let deadline = Instant::now() + HOOK_TIMEOUT;
    while Instant::now() < deadline {
        let properties = with_timeout(manager.bus().unit(unit)).await?;
        let state = properties.sub_state();
        if is_down(&properties) || state.is_waiting_for_restart() {
            return Ok(());
        }
        if state.is_final() {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    match with_timeout(manager.kill(unit, KillWhom::All, SIGKILL)).await {
        Err(ManagerError::NotFound { .. }) => Ok(()),
        result => result,
    }
}

async fn with_timeout<T>(
    answer: impl Future<Output = Result<T, ManagerError>>,
) -> Result<T, ManagerError> {
    let answer = timeout(CALL_TIMEOUT, answer).await;
    answer.unwrap_or_else(|late| Err(ManagerError::unreachable(late)))
}
