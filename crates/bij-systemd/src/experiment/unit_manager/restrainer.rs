//! The restraints on running units, over systemd's service managers.

use bij_core::port::{UnitError, UnitRestrainer};
use bij_core::{ExperimentId, Outcome, Percent};

use super::{SystemdUnits, is_down, kill};
use crate::UnitName;

impl UnitRestrainer for SystemdUnits {
    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        let (manager, unit) = (self.manager()?, UnitName::from_experiment(id));
        let properties = self.properties(id).await?;
        // systemd freezes no unit that is starting or stopping, and thaws a unit before it runs a job of the unit
        // (systemctl(1), `freeze`), so a stop needs no thaw.
        let is_unchanged = match properties.text("FreezerState") {
            Some(state) => state == if frozen { "frozen" } else { "running" },
            // A manager without the property cannot freeze.
            None => !frozen,
        };
        if is_unchanged || is_down(&properties) {
            return Ok(Outcome::Unchanged);
        }
        if frozen {
            manager.freeze(&unit).await?;
        } else {
            manager.thaw(&unit).await?;
        }
        Ok(Outcome::Changed)
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
        Ok(kill::kill(self.manager()?, id).await?)
    }
}
