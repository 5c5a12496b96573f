//! Does what the ladder says.

use std::time::Duration;

use bij_coordinator::heat::{Because, Haste, HeatStep};
use bij_core::port::{Handover, UnitError, UnitManager};
use bij_core::{ExperimentId, Order, OrderKind};
use thiserror::Error;
use tokio::time::timeout;

/// The time that an experiment has to write a checkpoint when the board is critically hot. It includes
/// `ExecStop=`, which systemd runs before it signals. With the two hot readings before it, all experiments have
/// ended within ten seconds.
const LEAVES_WITHIN: Duration = Duration::from_secs(4);

/// What became of a step.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) step: HeatStep,
    pub(super) result: Result<(), Failure>,
}

/// Why a step could not be done.
#[derive(Debug, Error)]
#[error("{text}")]
pub(super) struct Failure {
    text: String,
    /// It never can be done here.
    pub(super) for_good: bool,
}

impl From<UnitError> for Failure {
    fn from(error: UnitError) -> Self {
        let for_good = matches!(error, UnitError::Unsupported(_));
        Self { text: bij_core::error_chain(&error), for_good }
    }
}

/// Does it.
pub(super) async fn carry_out(
    units: &impl UnitManager,
    handover: &impl Handover,
    step: HeatStep,
    because: &Because,
) -> Done {
    let done = match &step {
        // Nobody's unit is concerned.
        HeatStep::Hold | HeatStep::Admit | HeatStep::CapGpu { .. } | HeatStep::UncapGpu => Ok(()),
        HeatStep::Cap { experiment, to } => {
            units.set_cpu_cap(experiment, Some(*to)).await.map(drop)
        }
        HeatStep::Uncap { experiment } => units.set_cpu_cap(experiment, None).await.map(drop),
        HeatStep::Freeze { experiment } => units.set_frozen(experiment, true).await.map(drop),
        HeatStep::Thaw { experiment } => units.set_frozen(experiment, false).await.map(drop),
        HeatStep::Stop { experiment, haste } => {
            let order = Order { kind: OrderKind::Heat, by: because.to_string() };
            if let Err(error) = handover.stop(experiment, &order) {
                // It is stopped all the same, and its end says "stopped".
                log::warn!("{}", bij_core::error_chain(&error));
            }
            match haste {
                Haste::Grace => units.stop(experiment).await.map(drop),
                Haste::Critical => stop_in_haste(units, experiment).await,
            }
        }
    };
    Done { step, result: done.map_err(Failure::from) }
}

/// Asked first, it is killed if that takes too long, or if nobody can ask it.
async fn stop_in_haste(units: &impl UnitManager, id: &ExperimentId) -> Result<(), UnitError> {
    let stop = units.stop(id);
    tokio::pin!(stop);
    let stopped = timeout(LEAVES_WITHIN, &mut stop).await;
    let failed = match stopped {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    match (units.kill(id).await, failed) {
        // The job that stops it is done then.
        (Ok(()), None) => stop.await.map(drop),
        (Ok(()), Some(_)) => Ok(()),
        (Err(error), _) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bij_core::port::{HandoverError, Started};
    use bij_core::{Celsius, Outcome, Percent, Progress, UnitStatus};

    use super::*;

    /// A manager whose units leave when they are killed only.
    #[derive(Default)]
    struct Stubborn(Mutex<Vec<String>>);

    impl Stubborn {
        fn say(&self, what: &str) {
            self.0.lock().unwrap().push(what.to_owned());
        }
    }

    impl UnitManager for Stubborn {
        async fn start(&self, _: &ExperimentId) -> Result<Started, UnitError> {
            unreachable!("nothing is started for heat")
        }

        async fn stop(&self, _: &ExperimentId) -> Result<Outcome, UnitError> {
            self.say("stop");
            while !self.0.lock().unwrap().iter().any(|said| said == "kill") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(Outcome::Changed)
        }

        async fn kill(&self, _: &ExperimentId) -> Result<(), UnitError> {
            self.say("kill");
            Ok(())
        }

        async fn set_cpu_cap(
            &self,
            _: &ExperimentId,
            cap: Option<Percent>,
        ) -> Result<Outcome, UnitError> {
            self.say(&format!("cap {cap:?}"));
            Ok(Outcome::Changed)
        }

        async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
            Ok(Vec::new())
        }
    }

    impl Handover for Stubborn {
        fn extras(&self, _: &ExperimentId, _: &str) -> Result<(), HandoverError> {
            Ok(())
        }

        fn stop(&self, _: &ExperimentId, order: &Order) -> Result<(), HandoverError> {
            self.say(&format!("order {:?} by {}", order.kind, order.by));
            Ok(())
        }

        fn order(&self, _: &ExperimentId) -> Option<Order> {
            None
        }

        fn progress(&self, _: &ExperimentId) -> Option<Progress> {
            None
        }
    }

    fn because() -> Because {
        let celsius = Celsius::new(90);
        Because::Zone { zone: "tj".to_owned(), celsius, soon: celsius }
    }

    async fn said(step: HeatStep) -> (Done, Vec<String>) {
        let manager = Stubborn::default();
        let done = carry_out(&manager, &manager, step, &because()).await;
        (done, manager.0.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn in_haste_who_does_not_leave_is_killed_and_the_order_says_why() {
        let experiment: ExperimentId = "x".parse().unwrap();
        let stop = HeatStep::Stop { experiment, haste: Haste::Critical };
        let (done, said) = said(stop).await;
        assert!(done.result.is_ok());
        assert_eq!(said, ["order Heat by tj is at 90.0 °C", "stop", "kill"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_be_done_here_is_told_apart() {
        let experiment: ExperimentId = "x".parse().unwrap();
        let (done, _) = said(HeatStep::Freeze { experiment: experiment.clone() }).await;
        assert!(done.result.unwrap_err().for_good);
        let (done, said) = said(HeatStep::Uncap { experiment }).await;
        assert!(done.result.is_ok());
        assert_eq!(said, ["cap None"]);
    }
}
