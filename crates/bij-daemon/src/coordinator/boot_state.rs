//! Whether the machine is still coming up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bij_systemd::{RuntimeScope, SystemdUnits};
use tokio::sync::OnceCell;

use crate::chain;

/// Asks the service manager, until it has come up once.
#[derive(Debug)]
pub(super) struct BootState {
    scope: RuntimeScope,
    /// A connection of this thread's runtime: the loop has its own.
    units: OnceCell<Arc<SystemdUnits>>,
    is_up: AtomicBool,
}

impl BootState {
    /// Nothing is known yet of the manager of this scope.
    pub(super) fn new(scope: RuntimeScope) -> Self {
        Self { scope, units: OnceCell::new(), is_up: AtomicBool::new(false) }
    }

    /// Whether starts of now are those of the boot. Where the manager cannot be asked they are
    /// taken for somebody's: nobody's start is turned down by mistake.
    pub(super) async fn is_booting(&self) -> bool {
        if self.is_up.load(Ordering::Relaxed) {
            return false;
        }
        let connect = || async { SystemdUnits::connect(self.scope).await.map(Arc::new) };
        let asked = async { self.units.get_or_try_init(connect).await?.is_booting().await };
        match asked.await {
            Ok(booting) => {
                self.is_up.store(!booting, Ordering::Relaxed);
                booting
            }
            Err(error) => {
                log::debug!("cannot ask whether the machine is booting: {}", chain(&error));
                false
            }
        }
    }
}
