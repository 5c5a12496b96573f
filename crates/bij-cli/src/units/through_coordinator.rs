//! The units of the system's experiments, for a caller who is not root.

use std::path::PathBuf;

use bij_api::message::{UnitEffect, UnitVerb};
use bij_api::{ClientError, RefusalKind};
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Outcome, UnitStatus};
use bij_systemd::SystemdUnits;

use crate::coordinator;

/// Looks at units by asking systemd, and has the coordinator start and stop them: systemd itself lets only
/// root do so, and the coordinator members of group `bij` too.
#[derive(Debug)]
pub(crate) struct ThroughCoordinator {
    systemd: SystemdUnits,
    socket: PathBuf,
}

impl ThroughCoordinator {
    pub(super) const fn new(systemd: SystemdUnits, socket: PathBuf) -> Self {
        Self { systemd, socket }
    }

    /// systemd itself, for what everyone may look at.
    pub(super) const fn systemd(&self) -> &SystemdUnits {
        &self.systemd
    }

    /// Asks the coordinator. `None` if it does not do it for this caller, or is not there: then the caller's
    /// own rights decide, since an operator's rule of polkit may give some.
    async fn ask(
        &self,
        id: &ExperimentId,
        verb: UnitVerb,
    ) -> Result<Result<UnitEffect, ClientError>, UnitError> {
        // A future of the bus's client is large, and this one is part of many.
        let done = Box::pin(async {
            // A connection of its own: calls of one connection wait for each other.
            let client = coordinator::connect_to(&self.socket).await?;
            client.steer_unit(id, verb).await
        });
        match done.await {
            Ok(done) if done.effect == UnitEffect::Failed => Err(UnitError::Job {
                id: id.clone(),
                verb: verb.as_str(),
                result: done.result.unwrap_or_else(|| "failed".to_owned()),
                reason: None,
            }),
            Ok(done) => Ok(Ok(done.effect)),
            Err(error) => match error.refusal().map(|refusal| refusal.kind) {
                Some(RefusalKind::NotFound) => Err(UnitError::NotFound(id.clone())),
                Some(RefusalKind::Denied) => Ok(Err(error)),
                None if is_absent(&error) => Ok(Err(error)),
                Some(_) => Err(UnitError::Refused {
                    action: format!("{} {id}", verb.as_str()),
                    source: Box::new(error),
                }),
                None => Err(UnitError::Unreachable(Box::new(error))),
            },
        }
    }
}

const fn is_absent(error: &ClientError) -> bool {
    matches!(error, ClientError::NoCoordinator | ClientError::NotListening)
}

/// What the coordinator did, else what systemd does by the caller's own rights. Where these do not suffice
/// either, the coordinator's reason is told: its remedy is the one that helps.
async fn or_directly<T>(
    asked: Result<UnitEffect, ClientError>,
    read: impl FnOnce(UnitEffect) -> T,
    directly: impl Future<Output = Result<T, UnitError>>,
) -> Result<T, UnitError> {
    let refused = match asked {
        Ok(effect) => return Ok(read(effect)),
        Err(refused) => refused,
    };
    match directly.await {
        Err(UnitError::Denied { action, .. }) => {
            Err(UnitError::Denied { action, source: Box::new(refused) })
        }
        done => done,
    }
}

const fn started(effect: UnitEffect) -> Started {
    match effect {
        UnitEffect::Changed | UnitEffect::Failed => Started::Up,
        UnitEffect::Unchanged => Started::AlreadyUp,
        UnitEffect::Skipped => Started::Skipped,
    }
}

const fn outcome(effect: UnitEffect) -> Outcome {
    match effect {
        UnitEffect::Changed | UnitEffect::Failed => Outcome::Changed,
        UnitEffect::Unchanged | UnitEffect::Skipped => Outcome::Unchanged,
    }
}

impl UnitManager for ThroughCoordinator {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        let asked = self.ask(id, UnitVerb::Start).await?;
        or_directly(asked, started, Box::pin(self.systemd.start(id))).await
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let asked = self.ask(id, UnitVerb::Stop).await?;
        or_directly(asked, outcome, self.systemd.stop(id)).await
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        let asked = self.ask(id, UnitVerb::Restart).await?;
        or_directly(asked, started, Box::pin(self.systemd.restart(id))).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let asked = self.ask(id, UnitVerb::ResetFailed).await?;
        or_directly(asked, outcome, self.systemd.reset_failed(id)).await
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        self.systemd.set_enabled(id, enabled).await
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        self.systemd.status(id).await
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.systemd.list().await
    }
}
