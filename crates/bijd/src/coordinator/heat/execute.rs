//! Executes the steps of the ladder.

use std::time::Duration;

use bij_coordinator::heat::{Because, Haste, HeatStep};
use bij_core::port::{Handover, UnitError, UnitManager, UnitRestrainer};
use bij_core::{ActiveState, ExperimentId, Order, OrderKind, SubState};
use thiserror::Error;
use tokio::time::{sleep, timeout};

/// The time that an experiment has to write a checkpoint when the board is critically hot, from the stop signal on.
/// With the two hot readings before it, all experiments have ended within ten seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long systemd may take until it signals: it runs `ExecStop=` before, which takes milliseconds on a board.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a unit is asked whether it has been signalled.
const SIGNAL_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A finished step with its result.
#[derive(Debug)]
pub(super) struct StepOutcome {
    pub(super) step: HeatStep,
    pub(super) result: Result<(), StepFailure>,
}

/// Why a step failed.
#[derive(Debug, Error)]
#[error("{text}")]
pub(super) struct StepFailure {
    text: String,
    /// Whether the step can never succeed on this machine.
    pub(super) is_permanent: bool,
}

impl From<UnitError> for StepFailure {
    fn from(error: UnitError) -> Self {
        let is_permanent = matches!(error, UnitError::Unsupported(_));
        Self { text: bij_core::error_chain(&error), is_permanent }
    }
}

/// Executes a step.
pub(super) async fn execute_step(
    units: &(impl UnitManager + UnitRestrainer),
    handover: &impl Handover,
    step: HeatStep,
    because: &Because,
) -> StepOutcome {
    let done = match &step {
        // These steps concern no unit.
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
                // It is stopped anyway, but its cause will be `stopped`.
                log::warn!("{}", bij_core::error_chain(&error));
            }
            match haste {
                Haste::Grace => units.stop(experiment).await.map(drop),
                Haste::Critical => stop_in_haste(units, experiment).await,
            }
        }
    };
    StepOutcome { step, result: done.map_err(StepFailure::from) }
}

/// Stops a unit; kills it if the stop takes too long or fails.
async fn stop_in_haste(
    units: &(impl UnitManager + UnitRestrainer),
    id: &ExperimentId,
) -> Result<(), UnitError> {
    let stop = units.stop(id);
    tokio::pin!(stop);
    let mut stopped = tokio::select! {
        biased;
        stopped = &mut stop => Some(stopped),
        _ = timeout(SIGNAL_TIMEOUT, signalled(units, id)) => None,
    };
    if stopped.is_none() {
        stopped = timeout(STOP_TIMEOUT, &mut stop).await.ok();
    }
    let failed = match stopped {
        Some(Ok(_)) => return Ok(()),
        Some(Err(error)) => Some(error),
        None => None,
    };
    match (units.kill(id).await, failed) {
        // The kill also ends the stop job.
        (Ok(()), None) => stop.await.map(drop),
        (Ok(()), Some(_)) => Ok(()),
        (Err(error), _) => Err(error),
    }
}

/// Waits until the processes of a unit that is being stopped have got the stop signal, or its status cannot be read.
async fn signalled(units: &impl UnitManager, id: &ExperimentId) {
    while let Ok(unit) = units.status(id).await {
        let is_waiting = match unit.active_state {
            ActiveState::Active | ActiveState::Activating | ActiveState::Reloading => true,
            // `ExecStop=` runs.
            ActiveState::Deactivating => unit.sub_state == SubState::Stop,
            _ => false,
        };
        if !is_waiting {
            return;
        }
        sleep(SIGNAL_POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bij_core::port::{HandoverError, Started};
    use bij_core::{Celsius, Outcome, Percent, Progress, UnitStatus};
    use tokio::time::Instant;

    use super::*;

    /// A manager whose units stop only when they are killed, and are signalled after a while.
    struct Stubborn(Mutex<Vec<String>>, Instant, Duration);

    impl Stubborn {
        fn record(&self, what: &str) {
            self.0.lock().unwrap().push(what.to_owned());
        }
    }

    impl UnitManager for Stubborn {
        async fn start(&self, _: &ExperimentId) -> Result<Started, UnitError> {
            unreachable!("heat control starts no unit")
        }

        async fn stop(&self, _: &ExperimentId) -> Result<Outcome, UnitError> {
            self.record("stop");
            while !self.0.lock().unwrap().iter().any(|call| call == "kill") {
                sleep(Duration::from_millis(10)).await;
            }
            Ok(Outcome::Changed)
        }

        async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
            Ok(Vec::new())
        }

        async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
            let is_signalled = self.1.elapsed() >= self.2;
            Ok(UnitStatus {
                active_state: ActiveState::Deactivating,
                sub_state: if is_signalled { SubState::StopSigterm } else { SubState::Stop },
                ..UnitStatus::down(id.clone())
            })
        }
    }

    impl UnitRestrainer for Stubborn {
        async fn set_frozen(&self, _: &ExperimentId, _: bool) -> Result<Outcome, UnitError> {
            Err(UnitError::Unsupported("nothing can be frozen here"))
        }

        async fn set_cpu_cap(
            &self,
            _: &ExperimentId,
            cap: Option<Percent>,
        ) -> Result<Outcome, UnitError> {
            self.record(&format!("cap {cap:?}"));
            Ok(Outcome::Changed)
        }

        async fn kill(&self, _: &ExperimentId) -> Result<(), UnitError> {
            self.record("kill");
            Ok(())
        }
    }

    impl Handover for Stubborn {
        fn extras(&self, _: &ExperimentId, _: &str) -> Result<(), HandoverError> {
            Ok(())
        }

        fn stop(&self, _: &ExperimentId, order: &Order) -> Result<(), HandoverError> {
            self.record(&format!("order {:?} by {}", order.kind, order.by));
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

    async fn execute(step: HeatStep) -> (StepOutcome, Vec<String>) {
        execute_with(step, Duration::ZERO).await
    }

    async fn execute_with(step: HeatStep, exec_stop: Duration) -> (StepOutcome, Vec<String>) {
        let manager = Stubborn(Mutex::default(), Instant::now(), exec_stop);
        let done = execute_step(&manager, &manager, step, &because()).await;
        (done, manager.0.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_experiment_has_its_time_from_the_signal_on() {
        for (exec_stop, expected) in [(0, 3), (1, 4), (60, 6)] {
            let experiment: ExperimentId = "x".parse().unwrap();
            let stop = HeatStep::Stop { experiment, haste: Haste::Critical };
            let begun = Instant::now();
            let (done, calls) = execute_with(stop, Duration::from_secs(exec_stop)).await;
            assert!(done.result.is_ok() && calls.ends_with(&["kill".to_owned()]), "{calls:?}");
            assert_eq!(begun.elapsed().as_secs(), expected, "{exec_stop} s of ExecStop=");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_critical_stop_kills_an_experiment_that_does_not_stop() {
        let experiment: ExperimentId = "x".parse().unwrap();
        let stop = HeatStep::Stop { experiment, haste: Haste::Critical };
        let (done, calls) = execute(stop).await;
        assert!(done.result.is_ok());
        assert_eq!(calls, ["order Heat by tj is at 90.0 °C", "stop", "kill"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_is_marked() {
        let experiment: ExperimentId = "x".parse().unwrap();
        let (done, _) = execute(HeatStep::Freeze { experiment: experiment.clone() }).await;
        assert!(done.result.unwrap_err().is_permanent);
        let (done, calls) = execute(HeatStep::Uncap { experiment }).await;
        assert!(done.result.is_ok());
        assert_eq!(calls, ["cap None"]);
    }
}
