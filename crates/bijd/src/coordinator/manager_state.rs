//! Whether the machine, or the user's session, is coming up or going down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bij_core::error_chain;
use bij_core::port::UnitError;
use bij_systemd::{RuntimeScope, SystemdUnits};
use tokio::sync::OnceCell;

/// Asks the service manager how it is itself.
#[derive(Debug)]
pub(super) struct ManagerState {
    scope: RuntimeScope,
    /// A connection of this thread's runtime: the loop has its own.
    units: OnceCell<Arc<SystemdUnits>>,
    is_up: AtomicBool,
}

impl ManagerState {
    /// Nothing is known yet of the manager of this scope.
    pub(super) fn new(scope: RuntimeScope) -> Self {
        Self { scope, units: OnceCell::new(), is_up: AtomicBool::new(false) }
    }

    /// Whether starts of now are those of the boot; not asked any more once it has come up. Where
    /// the manager cannot be asked they are taken for somebody's: nobody's start is turned down by
    /// mistake.
    pub(super) async fn is_booting(&self) -> bool {
        if self.is_up.load(Ordering::Relaxed) {
            return false;
        }
        let asked = async { self.units().await?.is_booting().await };
        match asked.await {
            Ok(booting) => {
                self.is_up.store(!booting, Ordering::Relaxed);
                booting
            }
            Err(error) => {
                log::debug!("cannot ask whether the machine is booting: {}", error_chain(&error));
                false
            }
        }
    }

    /// Whether everything is being stopped. A manager that cannot be asked starts nothing anyway.
    pub(super) async fn is_going_down(&self) -> bool {
        let asked = async { self.units().await?.is_going_down().await };
        asked.await.unwrap_or_else(|error| {
            log::debug!("cannot ask whether the machine is going down: {}", error_chain(&error));
            false
        })
    }

    async fn units(&self) -> Result<&SystemdUnits, UnitError> {
        let connect = || async { SystemdUnits::connect(self.scope).await.map(Arc::new) };
        self.units.get_or_try_init(connect).await.map(AsRef::as_ref)
    }
}
