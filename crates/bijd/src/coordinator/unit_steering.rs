//! Starts, stops, restarts and resets units for members of group `bij`.
//!
//! systemd lets only root do that. A polkit rule could allow others, but it does not see the mode of a job: a user who may
//! start one unit with mode `flush` or `replace-irreversibly` can cancel or block the jobs of all other units
//! (systemctl(1), `--job-mode=`). The coordinator uses mode `replace`, as `bij` does for root.

use std::sync::Arc;

use bij_api::{Caller, Refusal, RefusalKind};
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::request::{UnitDone, UnitEffect, UnitVerb};
use bij_core::{ExperimentId, Layout, Order, Outcome, error_chain};
use bij_definition::write_order;

/// Controls the units of experiments for callers that systemd would refuse.
pub(super) struct UnitSteering<U> {
    /// A connection of its own, so that the loop's jobs do not wait for those of callers.
    pub(super) units: Arc<U>,
    pub(super) layout: Layout,
}

impl<U: UnitManager> UnitSteering<U> {
    /// Executes a verb, and waits until the job is done.
    pub(super) async fn steer(
        &self,
        caller: &Caller,
        id: &ExperimentId,
        verb: UnitVerb,
    ) -> Result<UnitDone, Refusal> {
        log::info!(BIJ_EXPERIMENT:% = id; "{} requests to {} {id}", caller.name, verb.as_str());
        let order = matches!(verb, UnitVerb::Stop | UnitVerb::Restart).then(|| {
            let by = format!("bij {} by {}", verb.as_str(), caller.name);
            write_order(&self.layout, id, &Order::stop(by))
        });
        let done = self.execute_step(id, verb).await;
        let had_no_effect = matches!(done, Ok(UnitEffect::Unchanged) | Err(_));
        if let Some(order) = order.filter(|_| had_no_effect) {
            order.take_back();
        }
        match done {
            Ok(effect) => Ok(UnitDone { effect, result: None }),
            Err(UnitError::Job { result, .. }) => {
                Ok(UnitDone { effect: UnitEffect::Failed, result: Some(result) })
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    async fn execute_step(
        &self,
        id: &ExperimentId,
        verb: UnitVerb,
    ) -> Result<UnitEffect, UnitError> {
        let started = |started| match started {
            Started::Up => UnitEffect::Changed,
            Started::AlreadyUp => UnitEffect::Unchanged,
            Started::Skipped => UnitEffect::Skipped,
        };
        let changed = |outcome| match outcome {
            Outcome::Changed => UnitEffect::Changed,
            Outcome::Unchanged => UnitEffect::Unchanged,
        };
        match verb {
            UnitVerb::Start => self.units.start(id).await.map(started),
            UnitVerb::Restart => self.units.restart(id).await.map(started),
            UnitVerb::Stop => self.units.stop(id).await.map(changed),
            UnitVerb::ResetFailed => self.units.reset_failed(id).await.map(changed),
        }
    }
}

fn refusal(error: &UnitError) -> Refusal {
    let kind = match error {
        UnitError::NotFound(_) => RefusalKind::NotFound,
        UnitError::Denied { .. } => RefusalKind::Denied,
        error if error.is_transient() => RefusalKind::Trouble,
        _ => RefusalKind::Impossible,
    };
    let refusal = Refusal::new(kind, error_chain(error));
    error.remedy().into_iter().fold(refusal, Refusal::remedy)
}

#[cfg(test)]
mod tests {
    use bij_api::Rights;
    use bij_systemd::experiment::SystemdUnits;

    use super::*;

    #[tokio::test]
    async fn an_order_without_effect_is_removed_and_the_reason_is_returned() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::system(root.path());
        let units = Arc::new(SystemdUnits::without_manager("nothing is there"));
        let steering = UnitSteering { units, layout: layout.clone() };
        let caller = Rights::system().caller(0);
        let id = ExperimentId::new("x").unwrap();
        let refused = steering.steer(&caller, &id, UnitVerb::Stop).await.unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Trouble);
        assert!(refused.text.contains("nothing is there"), "{refused}");
        assert!(!layout.order(&id).exists() && !layout.stop_file(&id).exists());
    }
}
