//! Carries out changes of restraints.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bij_coordinator::Ports;
use bij_coordinator::thermal::{RestraintChange, StopUrgency, ThermalAction, ThermalReason};
use bij_core::port::{Handover, UnitError, UnitManager, UnitRestrainer};
use bij_core::{ActiveState, ExperimentId, Hertz, Order, OrderKind, SubState};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::ThermalLoop;

/// The time that an experiment has to write a checkpoint when the board is critically hot, from the stop signal on.
/// With the two hot readings before it, all experiments have ended within ten seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long systemd may take until it signals: it runs `ExecStop=` before, which takes milliseconds on a board.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a unit is asked whether it has been signalled.
const SIGNAL_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A finished change with its result.
#[derive(Debug)]
pub(super) struct ChangeOutcome {
    experiment: ExperimentId,
    change: RestraintChange,
    result: Result<(), ChangeFailure>,
}

/// Why a change failed.
#[derive(Debug, Error)]
#[error("{text}")]
struct ChangeFailure {
    text: String,
    /// Whether the change can never succeed on this machine.
    is_permanent: bool,
}

impl From<UnitError> for ChangeFailure {
    fn from(error: UnitError) -> Self {
        let is_permanent = matches!(error, UnitError::Unsupported(_));
        Self { text: bij_core::error_chain(&error), is_permanent }
    }
}

/// Returns the message about a restraint that this machine does not support.
pub(super) fn done_without(what: &dyn fmt::Display) -> String {
    format!("{what}; thermal control no longer uses it")
}

impl<P: Ports> ThermalLoop<P> {
    /// Starts a change of an experiment's restraint, which is recorded before it is in force.
    pub(super) fn start_change(
        &mut self,
        experiment: &ExperimentId,
        change: RestraintChange,
        reason: &ThermalReason,
    ) {
        self.restraints.record(experiment, change);
        let (units, handover) = (Arc::clone(&self.units), self.handover.clone());
        let (experiment, reason) = (experiment.clone(), reason.clone());
        self.pending.spawn(async move {
            change_restraint(&*units, &handover, experiment, change, &reason).await
        });
    }

    /// Records a finished change; a failed one is reported to the ladder.
    pub(super) fn record_outcome(&mut self, done: Option<ChangeOutcome>) {
        let Some(ChangeOutcome { experiment, change, result: Err(failure) }) = done else { return };
        let is_permanent = failure.is_permanent;
        let is_new = self.capabilities.record_failure(&experiment, change, is_permanent);
        if let Some(text) = describe_failure(&experiment, change, &failure, is_new) {
            log::warn!("heat: {text}");
        }
        if let Some(undo) = change.undo().filter(|_| is_permanent) {
            self.restraints.record(&experiment, undo);
        }
        self.ladder.failed(&experiment, change);
    }

    pub(super) fn cap_gpu(&mut self, to: Hertz) {
        let Self { gpu, restraints, .. } = self;
        if let Err(error) = gpu.cap(to, |saved| restraints.set_gpu(saved)) {
            let error = bij_core::error_chain(&error);
            log::warn!("heat: {error}; thermal control no longer uses the GPU's clock");
        }
    }

    pub(super) fn lift_gpu(&mut self) {
        let Self { gpu, restraints, .. } = self;
        if let Err(error) = gpu.lift(|saved| restraints.set_gpu(saved)) {
            log::warn!(
                "heat: {}; the GPU's clock stays limited until it is set, for example with `bij power set`",
                bij_core::error_chain(&error)
            );
        }
    }

    /// Lifts all restraints.
    pub(super) async fn release(&mut self) {
        self.lift_gpu();
        for (experiment, change) in self.restraints.lifts() {
            match set_restraint(&*self.units, &experiment, change).await {
                Ok(()) => self.restraints.record(&experiment, change),
                Err(error) => {
                    let action = ThermalAction::restrain(&experiment, change);
                    log::warn!("heat: {action}: {}", bij_core::error_chain(&error));
                }
            }
        }
    }
}

/// Returns a message for the log; a permanent failure is logged only when it is new.
fn describe_failure(
    experiment: &ExperimentId,
    change: RestraintChange,
    failure: &ChangeFailure,
    is_new: bool,
) -> Option<String> {
    if failure.is_permanent {
        return is_new.then(|| done_without(failure));
    }
    Some(format!("{}: {failure}", ThermalAction::restrain(experiment, change)))
}

/// Changes the restraint of an experiment.
async fn change_restraint(
    units: &(impl UnitManager + UnitRestrainer),
    handover: &impl Handover,
    experiment: ExperimentId,
    change: RestraintChange,
    reason: &ThermalReason,
) -> ChangeOutcome {
    if let RestraintChange::Stop(_) = change {
        let order = Order { kind: OrderKind::Heat, by: reason.to_string() };
        if let Err(error) = handover.stop(&experiment, &order) {
            // It is stopped anyway, but its cause will be `stopped`.
            log::warn!("{}", bij_core::error_chain(&error));
        }
    }
    let done = set_restraint(units, &experiment, change).await;
    ChangeOutcome { experiment, change, result: done.map_err(ChangeFailure::from) }
}

async fn set_restraint(
    units: &(impl UnitManager + UnitRestrainer),
    experiment: &ExperimentId,
    change: RestraintChange,
) -> Result<(), UnitError> {
    match change {
        RestraintChange::Cap(to) => units.set_cpu_cap(experiment, Some(to)).await.map(drop),
        RestraintChange::Uncap => units.set_cpu_cap(experiment, None).await.map(drop),
        RestraintChange::Freeze => units.set_frozen(experiment, true).await.map(drop),
        RestraintChange::Thaw => units.set_frozen(experiment, false).await.map(drop),
        RestraintChange::Stop(StopUrgency::Graceful) => units.stop(experiment).await.map(drop),
        RestraintChange::Stop(StopUrgency::Critical) => stop_in_haste(units, experiment).await,
    }
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

    use bij_coordinator::thermal::ThermalCapabilities;
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
            unreachable!("thermal control starts no unit")
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
            let mut status = UnitStatus::down(id.clone());
            status.active_state = ActiveState::Deactivating;
            status.sub_state = if is_signalled { SubState::StopSigterm } else { SubState::Stop };
            Ok(status)
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

    fn reason() -> ThermalReason {
        let celsius = Celsius::new(90);
        ThermalReason::Zone { zone: "tj".to_owned(), celsius, soon: celsius }
    }

    async fn execute(change: RestraintChange) -> (ChangeOutcome, Vec<String>) {
        execute_with(change, Duration::ZERO).await
    }

    async fn execute_with(
        change: RestraintChange,
        exec_stop: Duration,
    ) -> (ChangeOutcome, Vec<String>) {
        let manager = Stubborn(Mutex::default(), Instant::now(), exec_stop);
        let experiment = "x".parse().unwrap();
        let done = change_restraint(&manager, &manager, experiment, change, &reason()).await;
        (done, manager.0.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_experiment_has_its_time_from_the_signal_on() {
        for (exec_stop, expected) in [(0, 3), (1, 4), (60, 6)] {
            let stop = RestraintChange::Stop(StopUrgency::Critical);
            let begun = Instant::now();
            let (done, calls) = execute_with(stop, Duration::from_secs(exec_stop)).await;
            assert!(done.result.is_ok() && calls.ends_with(&["kill".to_owned()]), "{calls:?}");
            assert_eq!(begun.elapsed().as_secs(), expected, "{exec_stop} s of ExecStop=");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_critical_stop_kills_an_experiment_that_does_not_stop() {
        let (done, calls) = execute(RestraintChange::Stop(StopUrgency::Critical)).await;
        assert!(done.result.is_ok());
        assert_eq!(calls, ["order Heat by tj is at 90.0 °C", "stop", "kill"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_is_marked() {
        let (done, _) = execute(RestraintChange::Freeze).await;
        assert!(done.result.unwrap_err().is_permanent);
        let (done, calls) = execute(RestraintChange::Uncap).await;
        assert!(done.result.is_ok());
        assert_eq!(calls, ["cap None"]);
    }

    #[test]
    fn a_permanent_failure_is_logged_once_and_not_tried_again() {
        let mut capabilities = ThermalCapabilities::new(Percent::new(400), true);
        let [a, b]: [ExperimentId; 2] = ["a", "b"].map(|id| id.parse().unwrap());
        assert!(capabilities.unknown_experiment(a.clone()).can_cap);
        let mut text = |experiment: &ExperimentId, change, error: UnitError| {
            let failure = ChangeFailure::from(error);
            let is_new = capabilities.record_failure(experiment, change, failure.is_permanent);
            describe_failure(experiment, change, &failure, is_new)
        };
        let cap = RestraintChange::Cap(Percent::new(50));
        let failure = || UnitError::Unsupported("it has no effect");
        let expected = "it has no effect; thermal control no longer uses it";
        assert_eq!(text(&a, cap, failure()).as_deref(), Some(expected));
        assert_eq!(text(&b, cap, failure()), None);
        let gone = UnitError::NotFound(a.clone());
        let gone = text(&a, RestraintChange::Freeze, gone);
        assert_eq!(gone.as_deref(), Some("freezes a: there is no experiment a"));
        assert!(!capabilities.unknown_experiment(a).can_cap);
    }
}
