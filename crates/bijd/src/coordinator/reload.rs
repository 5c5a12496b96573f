//! Reads the settings at the start and at each reload.

use bij_api::{Refusal, RefusalKind};
use bij_coordinator::{Handle, Ports};
use bij_core::port::DefinitionError;
use bij_core::{CoordinatorSettings, error_chain};
use bij_definition::Definitions;

use super::journal::SETTINGS_REFUSED;
use super::refusal::shutting_down;

/// Reads `coordinator.toml` and `coordinator.env`.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    definitions: Definitions,
}

impl Reload {
    pub(super) const fn new(definitions: Definitions) -> Self {
        Self { definitions }
    }

    /// Reads the settings; errors and warnings are also logged.
    pub(super) fn read(&self) -> Result<CoordinatorSettings, DefinitionError> {
        let (settings, warnings) = self.definitions.settings().inspect_err(|error| {
            log::error!(
                MESSAGE_ID = SETTINGS_REFUSED, BIJ_EVENT = "settings-refused";
                "cannot use the settings: {}", error_chain(error)
            );
        })?;
        for warning in warnings {
            log::warn!(BIJ_EVENT = "settings"; "{warning}");
        }
        Ok(settings.coordinator)
    }

    /// Reads the settings again and puts them in force; invalid ones leave the old ones in force.
    pub(super) async fn reload<P: Ports>(
        &self,
        handle: &Handle<P>,
        by: &str,
    ) -> Result<(), Refusal> {
        let read = self.read();
        let wrong = read.as_ref().err().map(|error| error_chain(error));
        let by = by.to_owned();
        let reloaded = handle
            .ask(move |coordinator, now| coordinator.reload(read.as_ref().cloned(), &by, now));
        reloaded.await.map_err(|_| shutting_down())?;
        match wrong {
            Some(wrong) => Err(Refusal::new(RefusalKind::Invalid, wrong)
                .remedy("correct it and reload again; the previous settings stay in force")),
            None => Ok(()),
        }
    }
}
