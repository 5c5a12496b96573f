//! Asks whether the machine, or the user's session, is booting or shutting down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bij_core::error_chain;
use bij_core::port::UnitError;
use bij_systemd::RuntimeScope;
use bij_systemd::experiment::SystemdUnits;
use tokio::sync::OnceCell;

/// Asks the service manager for its own state.
#[derive(Debug)]
pub(super) struct ManagerProbe {
    scope: RuntimeScope,
    /// A connection of this thread's runtime; the loop has its own.
    units: OnceCell<Arc<SystemdUnits>>,
    is_up: AtomicBool,
}

impl ManagerProbe {
    /// Returns the state of the manager of this scope, which is not asked yet.
    pub(super) fn new(scope: RuntimeScope) -> Self {
        Self { scope, units: OnceCell::new(), is_up: AtomicBool::new(false) }
    }

    /// Returns whether starts are those of the boot; after the boot the manager is no longer asked. If it cannot be
    /// asked, returns `false`, so that no user's start is refused by mistake.
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

    /// Returns whether the manager is stopping all units; `false` if it cannot be asked, when it cannot start units
    /// either.
    pub(super) async fn is_going_down(&self) -> bool {
        let asked = async { self.units().await?.is_going_down().await };
        asked.await.unwrap_or_else(|error| {
            log::debug!("cannot ask whether the machine is shutting down: {}", error_chain(&error));
            false
        })
    }

    async fn units(&self) -> Result<&SystemdUnits, UnitError> {
        let connect = || async { SystemdUnits::connect(self.scope).await.map(Arc::new) };
        self.units.get_or_try_init(connect).await.map(AsRef::as_ref)
    }
}
