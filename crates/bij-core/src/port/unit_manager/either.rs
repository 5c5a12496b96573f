//! Unit managers that are chosen at start-up.

use super::{Started, UnitError, UnitManager};
use crate::{ExperimentId, Outcome, Percent, UnitStatus};

/// One of two unit managers. A program chooses it at start-up; no call is dispatched dynamically.
#[derive(Clone, Debug)]
pub enum EitherUnits<A, B> {
    /// The manager of the first type.
    One(A),
    /// The manager of the second type.
    Other(B),
}

impl<A: UnitManager, B: UnitManager> UnitManager for EitherUnits<A, B> {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        match self {
            Self::One(units) => units.start(id).await,
            Self::Other(units) => units.start(id).await,
        }
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        match self {
            Self::One(units) => units.stop(id).await,
            Self::Other(units) => units.stop(id).await,
        }
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        match self {
            Self::One(units) => units.restart(id).await,
            Self::Other(units) => units.restart(id).await,
        }
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        match self {
            Self::One(units) => units.reset_failed(id).await,
            Self::Other(units) => units.reset_failed(id).await,
        }
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        match self {
            Self::One(units) => units.set_enabled(id, enabled).await,
            Self::Other(units) => units.set_enabled(id, enabled).await,
        }
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        match self {
            Self::One(units) => units.status(id).await,
            Self::Other(units) => units.status(id).await,
        }
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        match self {
            Self::One(units) => units.list().await,
            Self::Other(units) => units.list().await,
        }
    }

    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        match self {
            Self::One(units) => units.set_frozen(id, frozen).await,
            Self::Other(units) => units.set_frozen(id, frozen).await,
        }
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        match self {
            Self::One(units) => units.set_cpu_cap(id, cap).await,
            Self::Other(units) => units.set_cpu_cap(id, cap).await,
        }
    }

    async fn kill(&self, id: &ExperimentId) -> Result<(), UnitError> {
        match self {
            Self::One(units) => units.kill(id).await,
            Self::Other(units) => units.kill(id).await,
        }
    }

    async fn reload(&self) -> Result<(), UnitError> {
        match self {
            Self::One(units) => units.reload().await,
            Self::Other(units) => units.reload().await,
        }
    }
}

/// A missing unit manager. Every call fails with [`UnitError::Unreachable`] for this reason.
#[derive(Clone, Copy, Debug)]
pub struct NoUnits(pub &'static str);

impl NoUnits {
    fn unreachable<T>(self) -> Result<T, UnitError> {
        Err(UnitError::Unreachable(self.0.into()))
    }
}

impl UnitManager for NoUnits {
    async fn start(&self, _: &ExperimentId) -> Result<Started, UnitError> {
        self.unreachable()
    }

    async fn stop(&self, _: &ExperimentId) -> Result<Outcome, UnitError> {
        self.unreachable()
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.unreachable()
    }
}
