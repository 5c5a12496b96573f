//! Freezes and thaws a unit.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Outcome};

use super::is_down;
use crate::bus::{Action, Bus, call_if_supported};

const NEEDS: &str = "freezing takes systemd 246 and cgroup v2";

/// Freezes or thaws a unit that is up.
///
/// systemd freezes no unit that is starting or stopping, and thaws a unit before it runs a job of the unit
/// (systemctl(1), `freeze`), so a stop needs no thaw.
pub(super) async fn set_frozen(
    bus: &Bus,
    id: &ExperimentId,
    frozen: bool,
) -> Result<Outcome, UnitError> {
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
        let action = Action { verb: "freeze", id: Some(id) };
        call_if_supported(action, NEEDS, manager.freeze_unit(&unit)).await?;
    } else {
        let action = Action { verb: "thaw", id: Some(id) };
        call_if_supported(action, NEEDS, manager.thaw_unit(&unit)).await?;
    }
    Ok(Outcome::Changed)
}
