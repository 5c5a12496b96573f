//! The same client for programs without an async runtime: each call blocks its thread until it is answered.
//!
//! A [`Manager`] runs a worker thread of its own, which reads the bus. It must not be used in an async function.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::{
    JobKind, JobMode, JobSuccess, KillWhom, ListedUnit, ManagerAddress, ManagerError, Property,
    PropertyValue, StartedUnit, TransientScope, TransientService, UnitDetails, UnitEnd, UnitEvent,
    UnitFileChange, UnitFileLife, UnitFilter, UnitName,
};

/// A blocking client of a service manager; see [`crate::Manager`].
#[derive(Clone, Debug)]
pub struct Manager {
    runtime: Arc<Runtime>,
    manager: crate::Manager,
}

macro_rules! blocking {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {
        impl Manager {
            $(
                #[doc = concat!("See [`Manager::", stringify!($name), "`](crate::Manager::", stringify!($name), ").")]
                ///
                /// # Errors
                /// The same as there.
                pub fn $name(&self $(, $argument: $type)*) -> Result<$result, ManagerError> {
                    self.runtime.block_on(self.manager.$name($($argument),*))
                }
            )*
        }
    };
}

blocking! {
    fn version(&self) -> String;
    fn system_state(&self) -> String;
    fn daemon_reload(&self) -> ();
    fn start(&self, unit: &UnitName) -> StartedUnit;
    fn restart(&self, unit: &UnitName) -> StartedUnit;
    fn stop(&self, unit: &UnitName) -> JobSuccess;
    fn try_restart(&self, unit: &UnitName) -> JobSuccess;
    fn reload(&self, unit: &UnitName) -> JobSuccess;
    fn run_job(&self, unit: &UnitName, kind: JobKind, mode: JobMode) -> JobSuccess;
    fn queue_job(&self, unit: &UnitName, kind: JobKind, mode: JobMode) -> ();
    fn kill(&self, unit: &UnitName, whom: KillWhom, signal: i32) -> ();
    fn freeze(&self, unit: &UnitName) -> ();
    fn thaw(&self, unit: &UnitName) -> ();
    fn reset_failed(&self, unit: &UnitName) -> ();
    fn status(&self, unit: &UnitName) -> UnitDetails;
    fn list(&self, filter: &UnitFilter) -> Vec<ListedUnit>;
    fn property(&self, unit: &UnitName, name: &str) -> PropertyValue;
    fn set_properties(&self, unit: &UnitName, properties: &[Property], life: UnitFileLife) -> ();
    fn enable(&self, units: &[UnitName], life: UnitFileLife) -> Vec<UnitFileChange>;
    fn disable(&self, units: &[UnitName], life: UnitFileLife) -> Vec<UnitFileChange>;
    fn mask(&self, units: &[UnitName], life: UnitFileLife) -> Vec<UnitFileChange>;
    fn unmask(&self, units: &[UnitName], life: UnitFileLife) -> Vec<UnitFileChange>;
    fn start_scope(&self, scope: &TransientScope) -> StartedUnit;
}

impl Manager {
    /// Connects to a manager; see [`Manager::connect`](crate::Manager::connect).
    ///
    /// # Errors
    /// [`ManagerError::Unreachable`] if there is no bus, no answer, or no thread.
    pub fn connect(address: impl Into<ManagerAddress>) -> Result<Self, ManagerError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = Arc::new(runtime.map_err(ManagerError::unreachable)?);
        let manager = runtime.block_on(crate::Manager::connect(address))?;
        Ok(Self { runtime, manager })
    }

    /// Starts a transient service; see [`Manager::start_transient`](crate::Manager::start_transient).
    ///
    /// # Errors
    /// The same as there.
    pub fn start_transient(
        &self,
        service: &TransientService,
    ) -> Result<TransientUnit, ManagerError> {
        let unit = self.runtime.block_on(self.manager.start_transient(service))?;
        Ok(TransientUnit { runtime: Arc::clone(&self.runtime), unit })
    }

    /// Receives changes of the selected units; see [`Manager::watch`](crate::Manager::watch).
    pub fn watch(&self, selects: impl Fn(&UnitName) -> bool + Send + Sync + 'static) -> Watch {
        Watch { runtime: Arc::clone(&self.runtime), watch: self.manager.watch(selects) }
    }
}

/// A transient service that was started; see [`crate::TransientUnit`].
#[derive(Debug)]
pub struct TransientUnit {
    runtime: Arc<Runtime>,
    unit: crate::TransientUnit,
}

impl TransientUnit {
    /// Returns what became of the start.
    pub const fn started(&self) -> &StartedUnit {
        self.unit.started()
    }

    /// Stops the service and waits until it is down.
    ///
    /// # Errors
    /// The same as of [`TransientUnit::stop`](crate::TransientUnit::stop).
    pub fn stop(&self) -> Result<JobSuccess, ManagerError> {
        self.runtime.block_on(self.unit.stop())
    }

    /// Waits until the service is down, and reads how it ended.
    ///
    /// # Errors
    /// The same as of [`TransientUnit::wait`](crate::TransientUnit::wait).
    pub fn wait(self) -> Result<UnitEnd, ManagerError> {
        self.runtime.block_on(self.unit.wait())
    }
}

/// An iterator over changes of units, which never ends; see [`crate::Watch`].
#[derive(Debug)]
pub struct Watch {
    runtime: Arc<Runtime>,
    watch: crate::Watch,
}

impl Iterator for Watch {
    type Item = UnitEvent;

    fn next(&mut self) -> Option<UnitEvent> {
        Some(self.runtime.block_on(self.watch.next()))
    }
}
