//! The service manager that a coordinator works with.

use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Outcome, Percent, UnitStatus};
use bij_systemd::SystemdUnits;

use crate::Place;
use crate::systemd::{ELSEWHERE, is_elsewhere, scope};

/// The service manager of a place.
#[derive(Debug)]
pub(super) enum Units {
    /// PID 1, or a user's own.
    Systemd(Box<SystemdUnits>),
    /// The tree is not the machine's own: its manager does not run, and nobody else's is touched.
    Nobody,
}

impl Units {
    /// The manager of this place; connected to when it is first asked.
    pub(super) fn of(place: &Place) -> Self {
        if is_elsewhere(place) {
            Self::Nobody
        } else {
            Self::Systemd(Box::new(SystemdUnits::unconnected(scope(place))))
        }
    }
}

macro_rules! ask {
    ($self:ident . $call:ident ( $($argument:expr),* )) => {
        match $self {
            Self::Systemd(units) => units.$call($($argument),*).await,
            Self::Nobody => Err(UnitError::Unreachable(ELSEWHERE.into())),
        }
    };
}

impl UnitManager for Units {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        ask!(self.start(id))
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        ask!(self.stop(id))
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        ask!(self.restart(id))
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        ask!(self.reset_failed(id))
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        ask!(self.set_enabled(id, enabled))
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        ask!(self.status(id))
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        ask!(self.list())
    }

    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        ask!(self.set_frozen(id, frozen))
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        ask!(self.set_cpu_cap(id, cap))
    }

    async fn kill(&self, id: &ExperimentId) -> Result<(), UnitError> {
        ask!(self.kill(id))
    }

    async fn reload(&self) -> Result<(), UnitError> {
        ask!(self.reload())
    }
}
