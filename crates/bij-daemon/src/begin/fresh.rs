//! Never stale: the unit that starts is the one that its definition describes now.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use bij_core::ExperimentId;
use bij_core::definition::ExperimentSpec;
use bij_core::port::{DefinitionSource, Found, Ledger};

use super::{Begin, BeginError, logged};
use crate::notify::set_watchdog;
use crate::{Journal, Manager, files};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Makes sure that the unit carries the stamp of its definition; returns the
    /// definition, if there is one to run.
    ///
    /// systemd reads the unit again in the middle of the start, which then goes on with the new
    /// command and the new limits.
    pub(super) fn ensure_fresh(
        &self,
        id: &ExperimentId,
    ) -> Result<Option<ExperimentSpec>, BeginError> {
        let found = self.find(id);
        if stamp(found.as_ref()) == self.told.stamp.as_deref() {
            return Ok(found.map(|found| found.spec));
        }
        // Many stale starts at once: one reloads, the rest wait here and then find it done. Held
        // until this function returns; the kernel drops it with a killed hook.
        let lock = lock(&self.place.layout().runtime().join("reload.lock"));
        let _lock = logged(lock, "starts cannot take turns at reloading");
        if self.manager.facts(id)?.stamp.as_deref() != stamp(self.find(id).as_ref()) {
            // The template alone has no stamp.
            let why = if self.told.stamp.is_some() { "has changed" } else { "is new" };
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "reload";
                "the definition of {id} {why}: the service manager reads it"
            );
            self.manager.reload()?;
        }
        let found = self.find(id);
        if self.manager.facts(id)?.stamp.as_deref() == stamp(found.as_ref()) {
            if let (Some(found), Some(socket)) = (&found, &self.told.notify_socket) {
                let told = set_watchdog(socket.as_ref(), found.spec.health.watchdog);
                logged(told, "the service manager does not hear when heartbeats are due");
            }
            Ok(found.map(|found| found.spec))
        } else {
            Err(BeginError::StillStale { id: id.clone() })
        }
    }

    /// The definition on disk; none if it is missing or cannot be used: `refuse` says which.
    fn find(&self, id: &ExperimentId) -> Option<Found> {
        self.definitions.find(id).ok()
    }
}

fn stamp(found: Option<&Found>) -> Option<&str> {
    found.map(|found| found.stamp.as_str())
}

fn lock(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    let file = open().or_else(|_| {
        files::make_directory(path.parent().unwrap_or(Path::new("/")))?;
        open()
    })?;
    file.lock()?;
    Ok(file)
}
