//! A unit manager whose type is chosen at run time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Started, UnitError, UnitManager, UnitRestrainer};
use crate::{ExperimentId, Outcome, Percent, UnitStatus};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, UnitError>> + Send + 'a>>;

/// A unit manager of any type, for programs that choose one at run time.
///
/// [`UnitManager`] returns futures of its implementor's own types, so it cannot be a trait object. This type can take
/// the place of any implementor; each call costs one allocation. Clones share the manager.
///
/// ```
/// use bij_core::port::{BoxedUnits, Started, UnitError, UnitManager};
/// use bij_core::{ExperimentId, Outcome, UnitStatus};
///
/// struct DryRun;
///
/// impl UnitManager for DryRun {
///     async fn start(&self, _: &ExperimentId) -> Result<Started, UnitError> {
///         Ok(Started::Up)
///     }
///     async fn stop(&self, _: &ExperimentId) -> Result<Outcome, UnitError> {
///         Ok(Outcome::Unchanged)
///     }
///     async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
///         Ok(Vec::new())
///     }
/// }
///
/// fn units(dry_run: bool) -> Option<BoxedUnits> {
///     dry_run.then(|| BoxedUnits::new(DryRun))
/// }
/// ```
#[derive(Clone)]
pub struct BoxedUnits(Arc<dyn ErasedUnits>);

impl BoxedUnits {
    /// Takes a manager that cannot restrain its units: each restraint is [`UnitError::Unsupported`].
    pub fn new(units: impl UnitManager + 'static) -> Self {
        Self(Arc::new(Unrestrained(units)))
    }

    /// Takes a manager that can also restrain its units.
    pub fn with_restraints(units: impl UnitManager + UnitRestrainer + 'static) -> Self {
        Self(Arc::new(Restrained(units)))
    }
}

impl fmt::Debug for BoxedUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedUnits").finish_non_exhaustive()
    }
}

/// A manager whose own type is not known. Every method is named, so that no implementation of a provided method of the
/// ports is lost.
trait ErasedUnits: Send + Sync {
    fn start<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Started>;
    fn stop<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Outcome>;
    fn restart<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Started>;
    fn reset_failed<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Outcome>;
    fn set_enabled<'a>(&'a self, id: &'a ExperimentId, enabled: bool) -> Answer<'a, Outcome>;
    fn status<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, UnitStatus>;
    fn list(&self) -> Answer<'_, Vec<UnitStatus>>;
    fn list_named<'a>(&'a self, ids: &'a [ExperimentId]) -> Answer<'a, Vec<UnitStatus>>;
    fn set_frozen<'a>(&'a self, id: &'a ExperimentId, frozen: bool) -> Answer<'a, Outcome>;
    fn set_cpu_cap<'a>(&'a self, id: &'a ExperimentId, cap: Option<Percent>)
    -> Answer<'a, Outcome>;
    fn kill<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, ()>;
}

struct Unrestrained<U>(U);

struct Restrained<U>(U);

/// Forwards the methods of [`UnitManager`] to the wrapped manager.
macro_rules! forward_unit_manager {
    () => {
        fn start<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Started> {
            Box::pin(self.0.start(id))
        }
        fn stop<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Outcome> {
            Box::pin(self.0.stop(id))
        }
        fn restart<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Started> {
            Box::pin(self.0.restart(id))
        }
        fn reset_failed<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, Outcome> {
            Box::pin(self.0.reset_failed(id))
        }
        fn set_enabled<'a>(&'a self, id: &'a ExperimentId, enabled: bool) -> Answer<'a, Outcome> {
            Box::pin(self.0.set_enabled(id, enabled))
        }
        fn status<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, UnitStatus> {
            Box::pin(self.0.status(id))
        }
        fn list(&self) -> Answer<'_, Vec<UnitStatus>> {
            Box::pin(self.0.list())
        }
        fn list_named<'a>(&'a self, ids: &'a [ExperimentId]) -> Answer<'a, Vec<UnitStatus>> {
            Box::pin(self.0.list_named(ids))
        }
    };
}

impl<U: UnitManager> ErasedUnits for Unrestrained<U> {
    forward_unit_manager!();

    fn set_frozen<'a>(&'a self, _: &'a ExperimentId, _: bool) -> Answer<'a, Outcome> {
        unsupported("nothing can be frozen here")
    }

    fn set_cpu_cap<'a>(&'a self, _: &'a ExperimentId, _: Option<Percent>) -> Answer<'a, Outcome> {
        unsupported("no processor time can be limited here")
    }

    fn kill<'a>(&'a self, _: &'a ExperimentId) -> Answer<'a, ()> {
        unsupported("nothing can be killed at once here")
    }
}

fn unsupported<'a, T: Send + 'a>(why: &'static str) -> Answer<'a, T> {
    Box::pin(async move { Err(UnitError::Unsupported(why)) })
}

impl<U: UnitManager + UnitRestrainer> ErasedUnits for Restrained<U> {
    forward_unit_manager!();

    fn set_frozen<'a>(&'a self, id: &'a ExperimentId, frozen: bool) -> Answer<'a, Outcome> {
        Box::pin(self.0.set_frozen(id, frozen))
    }

    fn set_cpu_cap<'a>(
        &'a self,
        id: &'a ExperimentId,
        cap: Option<Percent>,
    ) -> Answer<'a, Outcome> {
        Box::pin(self.0.set_cpu_cap(id, cap))
    }

    fn kill<'a>(&'a self, id: &'a ExperimentId) -> Answer<'a, ()> {
        Box::pin(self.0.kill(id))
    }
}

impl UnitManager for BoxedUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.0.start(id).await
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        self.0.stop(id).await
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.0.restart(id).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        self.0.reset_failed(id).await
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        self.0.set_enabled(id, enabled).await
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        self.0.status(id).await
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.0.list().await
    }

    async fn list_named(&self, ids: &[ExperimentId]) -> Result<Vec<UnitStatus>, UnitError> {
        self.0.list_named(ids).await
    }
}

impl UnitRestrainer for BoxedUnits {
    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        self.0.set_frozen(id, frozen).await
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        self.0.set_cpu_cap(id, cap).await
    }

    async fn kill(&self, id: &ExperimentId) -> Result<(), UnitError> {
        self.0.kill(id).await
    }
}
