//! The restraints on running units, over systemd's service managers.

use bij_core::port::{UnitError, UnitRestrainer};
use bij_core::{ExperimentId, Outcome, Percent};

use super::{SystemdUnits, is_down, kill};
use crate::bus::{Bus, Operation, call_if_supported};

impl UnitRestrainer for SystemdUnits {
    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        set_frozen(self.bus()?, id, frozen).await
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        match cap {
            Some(cap) => self.apply_cpu_cap(id, cap).await,
            None => self.remove_cpu_cap(id).await,
        }
    }

    async fn kill(&self, id: &ExperimentId) -> Result<(), UnitError> {
        kill::kill(self.bus()?, self.cgroups.as_ref(), id).await
    }
}

const NEEDS: &str = "freezing takes systemd 246 and cgroup v2";

/// Freezes or thaws a unit that is up.
///
/// systemd freezes no unit that is starting or stopping, and thaws a unit before it runs a job of the unit
/// (systemctl(1), `freeze`), so a stop needs no thaw.
async fn set_frozen(bus: &Bus, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
    let properties = bus.unit(id).await?;
    let state = properties.text("FreezerState");
    let is_unchanged = match state {
        Some(state) => state == if frozen { "frozen" } else { "running" },
        // A manager without the property cannot freeze.
        None => !frozen,
    };
    if is_unchanged || is_down(&properties) {
        return Ok(Outcome::Unchanged);
    }
    let (manager, unit) = (bus.manager().await?, id.unit_name());
    if frozen {
        let operation = Operation { verb: "freeze", id: Some(id) };
        call_if_supported(operation, NEEDS, manager.freeze_unit(&unit)).await?;
    } else {
        let operation = Operation { verb: "thaw", id: Some(id) };
        call_if_supported(operation, NEEDS, manager.thaw_unit(&unit)).await?;
    }
    Ok(Outcome::Changed)
}
