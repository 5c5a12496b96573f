//! Never stale: the unit that starts is the one that its definition describes now.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bij_core::definition::ExperimentSpec;
use bij_core::port::{DefinitionSource, FindError, Ledger};
use bij_core::{ExperimentId, Outcome};
use bij_host::{files, logged, set_watchdog};

use super::{Begin, BeginError};
use crate::gpu::wake;
use crate::manager_socket;
use crate::render::{Renderer, Wanted, remove_drop_in};
use crate::{Journal, Manager};

/// How long a start waits for another one that reloads the service manager, before it does so itself.
const TURN_WITHIN: Duration = Duration::from_secs(10);
const TURN_EVERY: Duration = Duration::from_millis(10);

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Makes sure that the unit carries the stamp of its definition and of this machine; returns the
    /// definition, if there is one to run.
    ///
    /// Otherwise renders the drop-in and has systemd read it in the middle of the start, which then goes
    /// on with the new command and the new limits. A definition that cannot be used takes its drop-in
    /// away in the same manner: what goes on is the template, which says why and runs nothing.
    ///
    /// # Errors
    /// [`BeginError`] if the unit cannot be made what the definition says.
    pub(super) fn ensure_fresh(
        &self,
        id: &ExperimentId,
    ) -> Result<Option<ExperimentSpec>, BeginError> {
        let wanted = self.wanted(id)?;
        // Devices that have just come are given to the unit by a reload, though its text is the same.
        let devices_came = wanted.as_ref().is_some_and(|wanted| wake(self.host, wanted.spec()));
        let wanted = if devices_came { self.wanted(id)? } else { wanted };
        if !devices_came && stamp(wanted.as_ref()) == self.told.stamp.as_deref() {
            return Ok(wanted.map(Wanted::into_spec));
        }
        // Many stale starts at once: one reloads, the others then find it done. Held until this
        // function returns; the kernel drops it with a killed hook.
        let lock = lock(&self.host.layout().runtime().join("render.lock"));
        let _lock = logged(lock, "starts cannot take turns at reloading");
        let loaded = self.manager.facts(id)?.stamp;
        let wanted = self.wanted(id)?;
        let is_loaded = loaded.as_deref() == stamp(wanted.as_ref());
        if !is_loaded {
            self.put_or_remove(id, wanted.as_ref())?;
        }
        if devices_came || !is_loaded {
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "reload";
                "{}; reloading the service manager", self.why(id, wanted.as_ref(), devices_came)
            );
            self.manager.reload()?;
            if self.manager.facts(id)?.stamp.as_deref() != stamp(wanted.as_ref()) {
                return Err(self.still_stale(id));
            }
        }
        let named = self.told.notify_socket.as_deref().map(OsStr::new);
        if let (Some(wanted), Some(socket)) = (&wanted, manager_socket(self.host, named)) {
            let told = set_watchdog(socket.as_os_str(), wanted.spec().health.watchdog);
            logged(told, "the service manager does not hear when heartbeats are due");
        }
        Ok(wanted.map(Wanted::into_spec))
    }

    /// Puts on disk what the definition describes; nothing if it describes nothing.
    fn put_or_remove(
        &self,
        id: &ExperimentId,
        wanted: Option<&Wanted>,
    ) -> Result<Outcome, BeginError> {
        if let Some(wanted) = wanted {
            return Renderer::new(self.host)
                .write(wanted)
                .map_err(|source| BeginError::Render { id: id.clone(), source });
        }
        let path = self.host.layout().drop_in(id);
        remove_drop_in(&path).map_err(|source| BeginError::Remove { id: id.clone(), path, source })
    }

    fn still_stale(&self, id: &ExperimentId) -> BeginError {
        BeginError::StillStale { id: id.clone(), path: self.host.layout().drop_in(id) }
    }

    fn why(&self, id: &ExperimentId, wanted: Option<&Wanted>, devices_came: bool) -> String {
        match &self.told.stamp {
            _ if devices_came => format!("the GPU of {id} has new devices"),
            _ if wanted.is_none() => format!("the definition of {id} cannot be used any more"),
            Some(_) => {
                format!("the definition of {id}, or what this machine gives it, has changed")
            }
            // The template alone has no stamp.
            None => format!("the definition of {id} is new"),
        }
    }

    /// Returns the unit that the definition on disk describes now; `None` if there is no definition or
    /// it has an error: `refuse` says which.
    ///
    /// # Errors
    /// [`BeginError::Definition`] if the definition is there and cannot be read: then it is the machine
    /// that is in trouble.
    fn wanted(&self, id: &ExperimentId) -> Result<Option<Wanted>, BeginError> {
        match self.definitions.find(id) {
            Ok(found) => Ok(Some(Renderer::new(self.host).wanted(found))),
            Err(FindError::Missing { .. } | FindError::Invalid { .. }) => Ok(None),
            Err(source) => Err(BeginError::Definition { id: id.clone(), source }),
        }
    }
}

fn stamp(wanted: Option<&Wanted>) -> Option<&str> {
    wanted.map(|wanted| wanted.stamp.as_str())
}

/// Takes the lock, or gives up when its holder hangs: it is no more than a way to reload less often.
fn lock(path: &Path) -> io::Result<File> {
    let file = files::open_lock(path)?;
    let until = Instant::now() + TURN_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(TURN_EVERY),
        }
    }
}
