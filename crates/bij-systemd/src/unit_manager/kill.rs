//! Kills what must be gone.

use std::time::Duration;

use bij_cgroup::{CgroupPath, CgroupRoot};
use bij_core::ExperimentId;
use bij_core::port::UnitError;
use tokio::time::timeout;

use crate::bus::{Action, Bus, call};
use crate::list;

/// A manager that takes longer is busy with something that nobody can wait for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
const SIGKILL: i32 = 9;

/// By the manager; where it does not answer at once, by the kernel alone (cgroup v2, Linux 5.14).
pub(super) async fn kill(
    bus: &Bus,
    cgroups: Option<&CgroupRoot>,
    id: &ExperimentId,
) -> Result<(), UnitError> {
    let unit = id.unit_name();
    let action = Action { verb: "kill", id: Some(id) };
    let by_manager = async {
        let manager = bus.manager().await?;
        call(action, manager.kill_unit(&unit, "all", SIGKILL)).await
    };
    let failed = match timeout(ANSWERS_WITHIN, by_manager).await {
        Ok(Err(error @ UnitError::Unreachable(_))) => error,
        Ok(done) => return done,
        Err(late) => UnitError::Unreachable(late.into()),
    };
    let Some(root) = cgroups else { return Err(failed) };
    let groups = root.find(&CgroupPath::root(), list::DEPTH, |name| name == unit);
    let mut killed = Err(failed);
    for group in groups {
        if root.at(&group).kill().is_ok() {
            killed = Ok(());
        }
    }
    killed
}
