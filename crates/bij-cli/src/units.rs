//! The service managers that `bij` can ask, behind one port.

use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Layout, Outcome, Percent, UnitStatus};
use bij_local::LocalUnits;
use bij_systemd::{RuntimeScope, SystemdUnits};

use crate::error::CliError;
use crate::scope::Scope;

/// One of the managers; which one is known when `bij` starts, so no call is dynamic.
#[derive(Debug)]
pub(crate) enum Units {
    /// PID 1, or a user's own systemd.
    Systemd(SystemdUnits),
    /// Supervisors that run in the foreground somewhere else.
    Local(LocalUnits),
}

impl Units {
    /// Connects to the manager of a scope.
    pub(crate) async fn connect(scope: Scope, layout: &Layout) -> Result<Self, CliError> {
        Ok(match scope {
            Scope::System => Self::Systemd(SystemdUnits::connect(RuntimeScope::System).await?),
            Scope::User => Self::Systemd(SystemdUnits::connect(RuntimeScope::User).await?),
            Scope::Local => Self::Local(LocalUnits::new(layout.clone())),
        })
    }
}

macro_rules! ask {
    ($self:ident . $call:ident ( $($argument:expr),* )) => {
        match $self {
            Self::Systemd(units) => units.$call($($argument),*).await,
            Self::Local(units) => units.$call($($argument),*).await,
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
