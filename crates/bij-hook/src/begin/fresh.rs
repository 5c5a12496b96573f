//! Renders a unit whose definition has changed, and reloads the service manager, before the unit starts.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{io, thread};

use bij_core::port::{DefinitionSource, FindError, Ledger};
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, Outcome, error_chain};
use bij_host::{HostContext, files, logged, set_watchdog};
use bij_jetson::Hardware;

use super::BeginError;
use crate::render::{DesiredUnit, Renderer, may_use_gpu, remove_drop_in};
use crate::{HookContext, HookJournal, HookManager, manager_socket};

/// How long a start waits for another start that is reloading the service manager, before it reloads itself.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Interval and number of checks for the nodes of a GPU that was just switched on: two seconds in all.
const NODE_POLL_INTERVAL: Duration = Duration::from_millis(20);
const NODE_POLLS: u32 = 100;

impl<D: DefinitionSource, L: Ledger, M: HookManager, J: HookJournal> HookContext<'_, D, L, M, J> {
    /// Makes sure that the loaded unit has the stamp of its definition and of this machine; returns the
    /// definition, or `None` if there is no usable one.
    ///
    /// If the stamps differ, renders the drop-in and reloads systemd during the start, which then continues with
    /// the new command and limits. If the definition is not usable, removes the drop-in in the same way: the start
    /// continues with the bare template, which says why and runs nothing.
    ///
    /// # Errors
    /// [`BeginError`] if the unit still differs from its definition.
    pub(super) fn ensure_fresh(
        &self,
        id: &ExperimentId,
    ) -> Result<Option<ExperimentSpec>, BeginError> {
        let desired = self.desired_unit(id)?;
        // New devices need a reload, although the text of the unit is the same.
        let devices_came =
            desired.as_ref().is_some_and(|desired| power_on_gpu(self.host, desired.spec()));
        let desired = if devices_came { self.desired_unit(id)? } else { desired };
        if !devices_came && stamp(desired.as_ref()) == self.env.stamp.as_deref() {
            return Ok(desired.map(DesiredUnit::into_spec));
        }
        // Of many stale starts, one reloads for all whose drop-ins are written by then: each writes its own before it
        // waits for the lock. The lock is held until this function returns, and the kernel releases it if the hook is
        // killed.
        self.write_unless_loaded(id, desired.as_ref())?;
        let lock = lock(&self.host.layout().runtime().join("render.lock"));
        let _lock = logged(lock, "cannot lock render.lock; reloading without it");
        let desired = self.desired_unit(id)?;
        let is_loaded = self.write_unless_loaded(id, desired.as_ref())?;
        if devices_came || !is_loaded {
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "reload";
                "{}; reloading the service manager", self.reload_reason(id, desired.as_ref(), devices_came)
            );
            self.manager.reload()?;
            if !self.is_loaded(id, desired.as_ref())? {
                return Err(self.still_stale(id));
            }
        }
        let named = self.env.notify_socket.as_deref().map(OsStr::new);
        if let (Some(desired), Some(socket)) = (&desired, manager_socket(self.host, named)) {
            let sent = set_watchdog(socket.as_os_str(), desired.spec().health.watchdog);
            logged(sent, "cannot set the watchdog of the unit");
        }
        Ok(desired.map(DesiredUnit::into_spec))
    }

    /// Whether the service manager has loaded this state of the unit.
    fn is_loaded(
        &self,
        id: &ExperimentId,
        desired: Option<&DesiredUnit>,
    ) -> Result<bool, BeginError> {
        Ok(self.manager.facts(id)?.stamp.as_deref() == stamp(desired))
    }

    /// Writes or removes the drop-in, unless the service manager has loaded this state of the unit. Returns whether it has.
    fn write_unless_loaded(
        &self,
        id: &ExperimentId,
        desired: Option<&DesiredUnit>,
    ) -> Result<bool, BeginError> {
        let is_loaded = self.is_loaded(id, desired)?;
        if !is_loaded {
            self.write_or_remove_drop_in(id, desired)?;
        }
        Ok(is_loaded)
    }

    /// Writes the drop-in that the definition describes, or removes it without one.
    fn write_or_remove_drop_in(
        &self,
        id: &ExperimentId,
        desired: Option<&DesiredUnit>,
    ) -> Result<Outcome, BeginError> {
        if let Some(desired) = desired {
            return Renderer::new(self.host)
                .write(desired)
                .map_err(|source| BeginError::Render { id: id.clone(), source });
        }
        let path = self.host.layout().drop_in(id);
        remove_drop_in(&path).map_err(|source| BeginError::Remove { id: id.clone(), path, source })
    }

    fn still_stale(&self, id: &ExperimentId) -> BeginError {
        BeginError::StillStale { id: id.clone(), path: self.host.layout().drop_in(id) }
    }

    fn reload_reason(
        &self,
        id: &ExperimentId,
        desired: Option<&DesiredUnit>,
        devices_came: bool,
    ) -> String {
        match &self.env.stamp {
            _ if devices_came => format!("the GPU of {id} has new devices"),
            _ if desired.is_none() => format!("the definition of {id} is no longer usable"),
            Some(_) => format!("the definition of {id}, or its user or GPU, has changed"),
            // The bare template has no stamp.
            None => format!("the definition of {id} is new"),
        }
    }

    /// Returns the unit that the definition on disk describes now; `None` if the definition is missing or invalid,
    /// which `refuse` then explains.
    ///
    /// # Errors
    /// [`BeginError::Definition`] if the definition exists but cannot be read, a fault of the machine.
    fn desired_unit(&self, id: &ExperimentId) -> Result<Option<DesiredUnit>, BeginError> {
        match self.definitions.find(id) {
            Ok(found) => Ok(Some(Renderer::new(self.host).desired_unit(found))),
            Err(FindError::Missing { .. } | FindError::Invalid { .. }) => Ok(None),
            Err(source) => Err(BeginError::Definition { id: id.clone(), source }),
        }
    }
}

fn stamp(desired: Option<&DesiredUnit>) -> Option<&str> {
    desired.map(|desired| desired.stamp.as_str())
}

/// Takes the lock; gives up after [`LOCK_TIMEOUT`], because the lock only saves reloads.
fn lock(path: &Path) -> io::Result<File> {
    let file = files::open_lock(path)?;
    let until = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
        }
    }
}

/// Switches the GPU on for an experiment that uses it, if it was never on since boot, because some of its nodes do not
/// exist before. Returns whether it was switched on now, so that there are new devices.
fn power_on_gpu(host: &HostContext, spec: &ExperimentSpec) -> bool {
    if !may_use_gpu(host, spec) {
        return false;
    }
    let id = &spec.id;
    let mut polls = 0;
    let again = || {
        thread::sleep(NODE_POLL_INTERVAL);
        polls += 1;
        polls < NODE_POLLS
    };
    // Without a machine there is no GPU; an experiment that needs one then fails by itself.
    let Ok(machine) = Hardware::open(host.root()) else { return false };
    match machine.power_on_gpu(again) {
        Ok(Outcome::Unchanged) => false,
        Ok(Outcome::Changed) => {
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "gpu-on";
                "the GPU was switched on for {id}, for the first time since boot"
            );
            true
        }
        Err(error) => {
            log::warn!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "gpu-off";
                "{id} starts, but may not find the GPU: {}", error_chain(&error)
            );
            false
        }
    }
}
