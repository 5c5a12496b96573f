//! Never stale: the unit that starts is the one that its definition describes now.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use bij_core::ExperimentId;
use bij_core::definition::ExperimentSpec;
use bij_core::port::{DefinitionSource, Ledger};

use super::{Begin, BeginError, logged};
use crate::gpu::{GpuSettings, unit_stamp, wake};
use crate::notify::set_watchdog;
use crate::{Journal, Manager, files};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Makes sure that the unit carries the stamp of its definition and of this machine's GPU;
    /// returns the definition, if there is one to run.
    ///
    /// systemd reads the unit again in the middle of the start, which then goes on with the new
    /// command and the new limits.
    pub(super) fn ensure_fresh(
        &self,
        id: &ExperimentId,
    ) -> Result<Option<ExperimentSpec>, BeginError> {
        let wanted = self.wanted(id);
        // Devices that have just come are given to the unit by a reload, though its text is the same.
        let devices_came = wanted.as_ref().is_some_and(|wanted| wake(self.place, &wanted.spec));
        let wanted = if devices_came { self.wanted(id) } else { wanted };
        if !devices_came && stamp(wanted.as_ref()) == self.told.stamp.as_deref() {
            return Ok(wanted.map(|wanted| wanted.spec));
        }
        // Many stale starts at once: one reloads, the rest wait here and then find it done. Held
        // until this function returns; the kernel drops it with a killed hook.
        let lock = lock(&self.place.layout().runtime().join("reload.lock"));
        let _lock = logged(lock, "starts cannot take turns at reloading");
        let loaded = self.manager.facts(id)?.stamp;
        if devices_came || loaded.as_deref() != stamp(self.wanted(id).as_ref()) {
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "reload";
                "{}: the service manager reads it", self.why(id, devices_came)
            );
            self.manager.reload()?;
        }
        let wanted = self.wanted(id);
        if self.manager.facts(id)?.stamp.as_deref() == stamp(wanted.as_ref()) {
            if let (Some(wanted), Some(socket)) = (&wanted, &self.told.notify_socket) {
                let told = set_watchdog(socket.as_ref(), wanted.spec.health.watchdog);
                logged(told, "the service manager does not hear when heartbeats are due");
            }
            Ok(wanted.map(|wanted| wanted.spec))
        } else {
            Err(BeginError::StillStale { id: id.clone() })
        }
    }

    fn why(&self, id: &ExperimentId, devices_came: bool) -> String {
        match &self.told.stamp {
            _ if devices_came => format!("the GPU of {id} has new devices"),
            Some(_) => format!("the definition of {id}, or the GPU that it is given, has changed"),
            // The template alone has no stamp.
            None => format!("the definition of {id} is new"),
        }
    }

    /// The unit that the definition on disk describes now; none if there is no definition, or it
    /// cannot be used: `refuse` says which.
    fn wanted(&self, id: &ExperimentId) -> Option<Wanted> {
        let found = self.definitions.find(id).ok()?;
        let stamp = unit_stamp(self.place, &found, || GpuSettings::find(self.place));
        Some(Wanted { spec: found.spec, stamp })
    }
}

struct Wanted {
    spec: ExperimentSpec,
    stamp: String,
}

fn stamp(wanted: Option<&Wanted>) -> Option<&str> {
    wanted.map(|wanted| wanted.stamp.as_str())
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
