//! Kills what must be gone.

use std::time::Duration;

use bij_cgroup::{CgroupPath, CgroupRoot};
use bij_core::ExperimentId;
use bij_core::port::UnitError;
use tokio::time::{Instant, sleep, timeout};

use super::is_down;
use crate::bus::{Action, Bus, call};
use crate::list;

/// A manager that takes longer is busy with something that nobody can wait for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// For so long `ExecStopPost=` may go on writing down how the unit ended, while what is left of the
/// experiment lives.
const HOOK_LEAVES_WITHIN: Duration = Duration::from_secs(5);
/// How soon it is looked again whether it has left.
const LOOKS_EVERY: Duration = Duration::from_millis(50);
const SIGKILL: i32 = 9;

/// By the manager; where it does not answer at once, by the kernel alone (cgroup v2, Linux 5.14),
/// which spares nobody.
///
/// The main process goes first. What is left of the experiment lives on for as long as the hook that
/// runs from then on: `KillUnit` of all would take that along, and nobody would know of the end.
pub(super) async fn kill(
    bus: &Bus,
    cgroups: Option<&CgroupRoot>,
    id: &ExperimentId,
) -> Result<(), UnitError> {
    let failed = match kill_main(bus, id).await {
        Ok(()) => match kill_rest(bus, id).await {
            Err(error @ UnitError::Unreachable(_)) => error,
            done => return done,
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
        // It is forgotten, or has no main process any more.
        Err(UnitError::NotFound(_) | UnitError::Refused { .. }) => Ok(()),
        done => done,
    }
}

async fn kill_rest(bus: &Bus, id: &ExperimentId) -> Result<(), UnitError> {
    let patience = Instant::now() + HOOK_LEAVES_WITHIN;
    while Instant::now() < patience {
        let unit = in_time(bus.unit(id)).await?;
        let state = unit.text("SubState").unwrap_or_default();
        if is_down(&unit) || state.starts_with("auto-restart") {
            return Ok(());
        }
        // `final-sigterm` and what follows it come after all hooks (systemd's `src/core/service.c`).
        if state.starts_with("final-") {
            break;
        }
        sleep(LOOKS_EVERY).await;
    }
    match kill_unit(bus, id, "all").await {
        Err(UnitError::NotFound(_)) => Ok(()),
        done => done,
    }
}

async fn kill_unit(bus: &Bus, id: &ExperimentId, whom: &str) -> Result<(), UnitError> {
    let action = Action { verb: "kill", id: Some(id) };
    in_time(async {
        let manager = bus.manager().await?;
        call(action, manager.kill_unit(&id.unit_name(), whom, SIGKILL)).await
    })
    .await
}

async fn in_time<T>(answer: impl Future<Output = Result<T, UnitError>>) -> Result<T, UnitError> {
    let answer = timeout(ANSWERS_WITHIN, answer).await;
    answer.unwrap_or_else(|late| Err(UnitError::Unreachable(late.into())))
}
