//! The units of the system's experiments for a caller other than root.

use std::path::PathBuf;

use bij_api::{ClientError, RefusalKind};
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::request::{UnitEffect, UnitVerb};
use bij_core::{ExperimentId, Outcome, UnitStatus};
use bij_systemd::experiment::SystemdUnits;

use crate::coordinator;

/// Reads units from systemd, and starts and stops them through the coordinator, which permits this to members
/// of group `bij`; systemd itself permits it to root only.
#[derive(Debug)]
pub(crate) struct CoordinatorUnits {
    systemd: SystemdUnits,
    socket: PathBuf,
}

impl CoordinatorUnits {
    pub(super) const fn new(systemd: SystemdUnits, socket: PathBuf) -> Self {
        Self { systemd, socket }
    }

    /// Returns the connection to systemd, for reading.
    pub(super) const fn systemd(&self) -> &SystemdUnits {
        &self.systemd
    }

    /// Asks the coordinator. The inner error means that it denies this caller the change, or does not run; then the
    /// caller's own rights decide, because a polkit rule of the operator may permit the change.
    async fn ask(
        &self,
        id: &ExperimentId,
        verb: UnitVerb,
    ) -> Result<Result<UnitEffect, ClientError>, UnitError> {
        // The future of the bus client is large, and many futures contain this one.
        let done = Box::pin(async {
            // Calls on one connection wait for each other, so each call gets a connection of its own.
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

/// Returns what the coordinator did, else what systemd does with the caller's own rights. If systemd denies it too, the
/// error has the coordinator's reason as its source, because that has the remedy.
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

impl UnitManager for CoordinatorUnits {
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
