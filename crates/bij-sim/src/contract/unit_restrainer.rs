//! The contract of [`UnitRestrainer`]: freezing and capping an experiment without ending it.

use bij_core::port::{UnitError, UnitManager as _, UnitRestrainer};
use bij_core::{
    ActiveState, CpuQuota, ExperimentId, Limit, Outcome, Percent, TimeSpan, UnitStatus,
};

use super::unit_manager::{ANSWERS, Behaviour, POLL_INTERVAL, POLLS, UnitLab, id, status};

/// Long enough for a manager that samples the use of resources.
const A_WHILE: TimeSpan = TimeSpan::from_secs(1);

/// Judges a manager. Stops the experiments that it has started.
///
/// # Panics
/// If a clause is violated.
pub async fn unit_restrainer_contract(lab: &impl UnitLab) {
    a_frozen_unit_uses_no_processor_time(lab).await;
    a_cap_stays_in_force_until_it_is_removed(lab).await;
}

/// Returns the outcome; `None` from a manager that cannot do this.
fn unless_unsupported(answer: Result<Outcome, UnitError>) -> Option<Outcome> {
    match answer {
        Err(UnitError::Unsupported(_)) => None,
        answer => Some(answer.expect(ANSWERS)),
    }
}

async fn a_frozen_unit_uses_no_processor_time(lab: &impl UnitLab) {
    let (id, units) = (id("frozen"), lab.manager());
    lab.define(&id, Behaviour::Computes).await;
    assert_eq!(units.set_frozen(&id, false).await.ok(), Some(Outcome::Unchanged), "it is down");
    units.start(&id).await.expect(ANSWERS);
    let Some(outcome) = unless_unsupported(units.set_frozen(&id, true).await) else {
        let again = unless_unsupported(units.set_frozen(&id, true).await);
        assert_eq!(again, None, "what is not supported is so every time");
        units.stop(&id).await.expect(ANSWERS);
        return;
    };
    assert_eq!(outcome, Outcome::Changed);
    assert_eq!(units.set_frozen(&id, true).await.expect(ANSWERS), Outcome::Unchanged);
    lab.pass(A_WHILE).await;
    let before = status(lab, &id).await;
    assert!(before.frozen && before.active_state == ActiveState::Active, "{before:?}");
    lab.pass(A_WHILE).await;
    let after = status(lab, &id).await;
    assert_eq!(used(&before), used(&after), "no processor time passes while it is frozen");
    assert_eq!(units.set_frozen(&id, false).await.expect(ANSWERS), Outcome::Changed);
    assert_eq!(units.set_frozen(&id, false).await.expect(ANSWERS), Outcome::Unchanged);
    resumes(lab, &after).await;
    a_frozen_unit_can_be_stopped(lab, &id).await;
}

async fn resumes(lab: &impl UnitLab, frozen: &UnitStatus) {
    for _ in 0..POLLS {
        let now = status(lab, &frozen.id).await;
        assert!(!now.frozen && now.invocation == frozen.invocation, "the same invocation: {now:?}");
        // A manager without counters can show no more than this.
        if used(&now).is_none() || used(&now) > used(frozen) {
            return;
        }
        lab.pass(POLL_INTERVAL).await;
    }
    panic!("{} was thawed and does nothing", frozen.id);
}

async fn a_frozen_unit_can_be_stopped(lab: &impl UnitLab, id: &ExperimentId) {
    let units = lab.manager();
    assert_eq!(units.set_frozen(id, true).await.expect(ANSWERS), Outcome::Changed);
    assert_eq!(units.stop(id).await.expect(ANSWERS), Outcome::Changed);
    let down = status(lab, id).await;
    assert_eq!((down.active_state, down.frozen), (ActiveState::Inactive, false));
    assert_eq!(units.set_frozen(id, true).await.expect(ANSWERS), Outcome::Unchanged);
    units.start(id).await.expect(ANSWERS);
    assert!(!status(lab, id).await.frozen, "nor is its next attempt");
    units.stop(id).await.expect(ANSWERS);
}

async fn a_cap_stays_in_force_until_it_is_removed(lab: &impl UnitLab) {
    let (id, units) = (id("bounded"), lab.manager());
    let (half, quarter) = (Percent::new(50), Percent::new(25));
    lab.define(&id, Behaviour::RunsUntilStopped).await;
    units.start(&id).await.expect(ANSWERS);
    let own = bound(&status(lab, &id).await);
    let Some(outcome) = unless_unsupported(units.set_cpu_cap(&id, Some(half)).await) else {
        let again = unless_unsupported(units.set_cpu_cap(&id, Some(half)).await);
        assert_eq!(again, None, "what is not supported is so every time");
        assert_eq!(bound(&status(lab, &id).await), own, "and leaves nothing behind");
        units.stop(&id).await.expect(ANSWERS);
        return;
    };
    assert_eq!(outcome, Outcome::Changed);
    assert_eq!(units.set_cpu_cap(&id, Some(half)).await.expect(ANSWERS), Outcome::Unchanged);
    assert_eq!(bound(&status(lab, &id).await), Some(half));
    assert_eq!(units.set_cpu_cap(&id, Some(quarter)).await.expect(ANSWERS), Outcome::Changed);
    assert_eq!(bound(&status(lab, &id).await), Some(quarter));
    assert_eq!(units.set_cpu_cap(&id, None).await.expect(ANSWERS), Outcome::Changed);
    assert_eq!(units.set_cpu_cap(&id, None).await.expect(ANSWERS), Outcome::Unchanged);
    assert_eq!(bound(&status(lab, &id).await), own);
    // The cap ends with the attempt that is stopped.
    assert_eq!(units.set_cpu_cap(&id, Some(half)).await.expect(ANSWERS), Outcome::Changed);
    units.stop(&id).await.expect(ANSWERS);
    assert_eq!(units.set_cpu_cap(&id, Some(half)).await.expect(ANSWERS), Outcome::Unchanged);
    assert_eq!(units.set_cpu_cap(&id, None).await.expect(ANSWERS), Outcome::Unchanged);
    units.start(&id).await.expect(ANSWERS);
    assert_eq!(bound(&status(lab, &id).await), own);
    units.stop(&id).await.expect(ANSWERS);
}

fn used(status: &UnitStatus) -> Option<u64> {
    status.resources.cpu_usage_nsec
}

fn bound(status: &UnitStatus) -> Option<Percent> {
    status.resources.cpu_quota.and_then(Limit::at).map(CpuQuota::percent)
}
