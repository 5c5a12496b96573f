//! Enables, disables and masks units.

use super::{Manager, Operation, call};
use crate::{ManagerError, UnitName, proxy};

/// How long a change of unit files is kept (systemctl(1), `--runtime`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnitFileLife {
    /// For good: below `/etc`.
    #[default]
    Persistent,
    /// Until the next boot: below `/run`.
    Runtime,
}

impl UnitFileLife {
    pub(super) const fn is_runtime(self) -> bool {
        matches!(self, Self::Runtime)
    }
}

/// A change that was made to a link among the unit files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitFileChange {
    /// `symlink` or `unlink`; newer versions of systemd may add words.
    pub kind: String,
    /// The path of the link.
    pub link: String,
    /// The target of a link that was made.
    pub target: Option<String>,
}

impl From<proxy::UnitFileChange> for UnitFileChange {
    fn from((kind, link, target): proxy::UnitFileChange) -> Self {
        Self { kind, link, target: (!target.is_empty()).then_some(target) }
    }
}

impl Manager {
    /// Enables units as their `[Install]` sections say, and reloads the manager if that changed a file.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer, or refuses: it refuses masked units, for one.
    pub async fn enable(
        &self,
        units: &[UnitName],
        life: UnitFileLife,
    ) -> Result<Vec<UnitFileChange>, ManagerError> {
        let manager = self.bus.manager().await?;
        let names = names(units);
        let enable = manager.enable_unit_files(&names, life.is_runtime(), false);
        let (_, changes) = call(operation("enable", units), enable).await?;
        self.reload_if_changed(changes).await
    }

    /// Disables units, and reloads the manager if that changed a file. They run on if they are up.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer, or refuses.
    pub async fn disable(
        &self,
        units: &[UnitName],
        life: UnitFileLife,
    ) -> Result<Vec<UnitFileChange>, ManagerError> {
        let manager = self.bus.manager().await?;
        let names = names(units);
        let disable = manager.disable_unit_files(&names, life.is_runtime());
        let changes = call(operation("disable", units), disable).await?;
        self.reload_if_changed(changes).await
    }

    /// Masks units, so that nothing can start them, and reloads the manager if that changed a file.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer, or refuses: it does not mask a unit whose file is where the
    /// mask would be.
    pub async fn mask(
        &self,
        units: &[UnitName],
        life: UnitFileLife,
    ) -> Result<Vec<UnitFileChange>, ManagerError> {
        let manager = self.bus.manager().await?;
        let names = names(units);
        let mask = manager.mask_unit_files(&names, life.is_runtime(), false);
        let changes = call(operation("mask", units), mask).await?;
        self.reload_if_changed(changes).await
    }

    /// Removes the masks of units, and reloads the manager if that changed a file.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer, or refuses.
    pub async fn unmask(
        &self,
        units: &[UnitName],
        life: UnitFileLife,
    ) -> Result<Vec<UnitFileChange>, ManagerError> {
        let manager = self.bus.manager().await?;
        let names = names(units);
        let unmask = manager.unmask_unit_files(&names, life.is_runtime());
        let changes = call(operation("unmask", units), unmask).await?;
        self.reload_if_changed(changes).await
    }

    /// The manager notices changed links only in a reload.
    async fn reload_if_changed(
        &self,
        changes: Vec<proxy::UnitFileChange>,
    ) -> Result<Vec<UnitFileChange>, ManagerError> {
        if !changes.is_empty() {
            self.daemon_reload().await?;
        }
        Ok(changes.into_iter().map(UnitFileChange::from).collect())
    }
}

fn names(units: &[UnitName]) -> Vec<&str> {
    units.iter().map(UnitName::as_str).collect()
}

fn operation(verb: &'static str, units: &[UnitName]) -> Operation {
    match units {
        [first, ..] => Operation::on(verb, first),
        [] => Operation::new(verb),
    }
}
