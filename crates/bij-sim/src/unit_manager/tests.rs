use bij_core::port::BoxedUnits;
use bij_core::{ActiveState, ServiceResult, SubState};

use super::*;
use crate::contract::{self, Behaviour, UnitLab};

struct SimLab(SimUnits);

impl UnitLab for SimLab {
    type Manager = SimUnits;

    fn manager(&self) -> &SimUnits {
        &self.0
    }

    async fn define(&self, id: &ExperimentId, behaviour: Behaviour) -> bool {
        let moment = TimeSpan::from_micros(1_000);
        let restart = behaviour.spec(id).restart;
        let script = match behaviour {
            Behaviour::RunsUntilStopped | Behaviour::Computes => Script::runs(),
            Behaviour::Succeeds => Script::ends(moment, ScriptedEnd::Exit(0)),
            Behaviour::Crashes => Script::ends(moment, ScriptedEnd::Exit(3)),
            Behaviour::CannotBeRun => Script::ends(moment, ScriptedEnd::NeverUp),
            Behaviour::IsSkipped => Script { skipped: true, ..Script::runs() },
        };
        self.0.define(id, Script { restart, ..script });
        true
    }

    async fn pass(&self, span: TimeSpan) {
        self.0.advance(span);
    }
}

#[tokio::test]
async fn the_model_keeps_the_contract() {
    let lab = SimLab(SimUnits::default());
    contract::unit_manager_contract(&lab).await;
    contract::unit_restrainer_contract(&lab).await;
}

/// The same model behind a type that is chosen at run time.
struct BoxedLab {
    model: SimLab,
    units: BoxedUnits,
}

impl UnitLab for BoxedLab {
    type Manager = BoxedUnits;

    fn manager(&self) -> &BoxedUnits {
        &self.units
    }

    async fn define(&self, id: &ExperimentId, behaviour: Behaviour) -> bool {
        self.model.define(id, behaviour).await
    }

    async fn pass(&self, span: TimeSpan) {
        self.model.pass(span).await;
    }
}

#[tokio::test]
async fn a_boxed_manager_keeps_the_contract() {
    let units = SimUnits::default();
    let boxed = BoxedUnits::with_restraints(units.clone());
    let lab = BoxedLab { model: SimLab(units), units: boxed };
    contract::unit_manager_contract(&lab).await;
    contract::unit_restrainer_contract(&lab).await;
}

#[tokio::test]
async fn a_boxed_manager_without_restraints_says_so_and_starts_units_all_the_same() {
    let units = SimUnits::default();
    units.define(&id(), Script::runs());
    let boxed = BoxedUnits::new(units.clone());
    assert_eq!(boxed.start(&id()).await.unwrap(), Started::Up);
    assert_eq!(boxed.list().await.unwrap(), units.list().await.unwrap());
    let refused = [
        boxed.set_frozen(&id(), true).await.map(|_| ()),
        boxed.set_cpu_cap(&id(), None).await.map(|_| ()),
        boxed.kill(&id()).await,
    ];
    for result in refused {
        assert!(matches!(result, Err(UnitError::Unsupported(_))), "{result:?}");
    }
    assert_eq!(boxed.clone().stop(&id()).await.unwrap(), Outcome::Changed);
    assert_eq!(units.status(&id()).await.unwrap().active_state, ActiveState::Inactive);
}

fn id() -> ExperimentId {
    ExperimentId::new("x").unwrap()
}

#[tokio::test]
async fn attempts_follow_the_script_in_order_and_time() {
    let units = SimUnits::default();
    let second = TimeSpan::from_secs(1);
    let attempt = |end| ScriptedAttempt { lasts: Some(second), end };
    let attempts = vec![
        attempt(ScriptedEnd::OomKill),
        attempt(ScriptedEnd::Signal),
        attempt(ScriptedEnd::Exit(0)),
    ];
    units.define(&id(), Script { attempts, ..Script::default() });
    units.start(&id()).await.unwrap();
    units.advance(second);
    let status = units.status(&id()).await.unwrap();
    assert_eq!(status.sub_state, SubState::AutoRestart);
    assert_eq!(status.result, Some(ServiceResult::OomKill));
    // Two restart delays of 5 s and one attempt of 1 s.
    units.advance(TimeSpan::from_secs(11));
    let status = units.status(&id()).await.unwrap();
    assert_eq!((status.active_state, status.restarts), (ActiveState::Active, Some(2)));
    units.advance(second);
    let status = units.status(&id()).await.unwrap();
    assert_eq!(status.active_state, ActiveState::Inactive);
    assert_eq!(status.result, Some(ServiceResult::Success));
}

#[tokio::test]
async fn exit_code_78_is_not_restarted() {
    let units = SimUnits::default();
    units.define(&id(), Script::ends(TimeSpan::from_secs(1), ScriptedEnd::Exit(78)));
    units.start(&id()).await.unwrap();
    units.advance(TimeSpan::from_secs(60));
    let status = units.status(&id()).await.unwrap();
    assert_eq!((status.active_state, status.restarts), (ActiveState::Failed, Some(0)));
}

#[tokio::test]
async fn a_fault_fails_every_call_until_it_is_removed() {
    let units = SimUnits::default();
    units.define(&id(), Script::runs());
    units.set_fault(Some(UnitFault::Denied));
    assert!(matches!(units.start(&id()).await, Err(UnitError::Denied { .. })));
    units.set_fault(Some(UnitFault::Unreachable));
    assert!(units.list().await.unwrap_err().is_transient());
    units.set_fault(None);
    assert_eq!(units.start(&id()).await.unwrap(), Started::Up);
}

#[tokio::test]
async fn a_thawed_attempt_continues_where_it_was_frozen() {
    let units = SimUnits::default();
    units.define(&id(), Script::ends(TimeSpan::from_secs(10), ScriptedEnd::Exit(0)));
    units.start(&id()).await.unwrap();
    units.advance(TimeSpan::from_secs(4));
    assert_eq!(units.set_frozen(&id(), true).await.unwrap(), Outcome::Changed);
    units.advance(TimeSpan::from_secs(1_000));
    assert!(units.status(&id()).await.unwrap().frozen);
    units.set_frozen(&id(), false).await.unwrap();
    units.advance(TimeSpan::from_secs(5));
    assert_eq!(units.with_processes(), [id()]);
    units.advance(TimeSpan::from_secs(1));
    assert_eq!(units.with_processes(), []);
}

#[tokio::test]
async fn a_cap_outlives_the_attempt_until_it_is_removed() {
    let units = SimUnits::default();
    units.define(&id(), Script::ends(TimeSpan::from_secs(10), ScriptedEnd::Exit(0)));
    units.start(&id()).await.unwrap();
    units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
    units.advance(TimeSpan::from_secs(10));
    units.start(&id()).await.unwrap();
    assert!(units.status(&id()).await.unwrap().resources.cpu_quota.is_some());
    assert_eq!(units.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Changed);
    assert_eq!(units.status(&id()).await.unwrap().resources.cpu_quota, None);
}
