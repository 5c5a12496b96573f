//! Freezes and thaws a unit.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Outcome};

use super::is_down;
use crate::bus::{Action, Bus, call_if_known};

const NEEDS: &str = "freezing takes systemd 246 and cgroup v2";

/// systemd freezes nothing that is on its way up or down, and thaws a unit by itself before a job of
/// it (systemctl(1), `freeze`): a stop needs no more than a stop.
pub(super) async fn set_frozen(
    bus: &Bus,
    id: &ExperimentId,
    frozen: bool,
) -> Result<Outcome, UnitError> {
    let properties = bus.unit(id).await?;
    let state = properties.text("FreezerState");
    let as_asked = match state {
        Some(state) => state == if frozen { "frozen" } else { "running" },
        // Nothing can have frozen it.
        None => !frozen,
    };
    if as_asked || is_down(&properties) {
        return Ok(Outcome::Unchanged);
    }
    let (manager, unit) = (bus.manager().await?, id.unit_name());
    if frozen {
        let action = Action { verb: "freeze", id: Some(id) };
        call_if_known(action, NEEDS, manager.freeze_unit(&unit)).await?;
    } else {
        let action = Action { verb: "thaw", id: Some(id) };
        call_if_known(action, NEEDS, manager.thaw_unit(&unit)).await?;
    }
    Ok(Outcome::Changed)
}
