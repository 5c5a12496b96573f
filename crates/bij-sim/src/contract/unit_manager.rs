//! The contract of [`UnitManager`], and what it takes to judge a manager.

use bij_core::port::{Started, UnitError, UnitManager, UnitRestrainer};
use bij_core::spec::ExperimentSpec;
use bij_core::{ActiveState, ExperimentId, Limit, Outcome, ServiceResult, TimeSpan, UnitStatus};

/// What an experiment of the contract does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It runs until it is stopped.
    RunsUntilStopped,
    /// It uses processor time until it is stopped.
    Computes,
    /// It succeeds after a moment.
    Succeeds,
    /// Every attempt crashes after a moment.
    Crashes,
    /// Its command does not exist.
    CannotBeRun,
    /// A condition skips its starts.
    IsSkipped,
}

impl Behaviour {
    /// Returns a definition with this behaviour on a real machine, except for conditions.
    ///
    /// Restarts follow quickly, and the limit allows three starts.
    pub fn spec(self, id: &ExperimentId) -> ExperimentSpec {
        let command: &[&str] = match self {
            Self::RunsUntilStopped | Self::IsSkipped => &["/bin/sleep", "600"],
            Self::Computes => &["/bin/sh", "-c", "while :; do :; done"],
            // A process that ends before its start was noticed may count as a failed start.
            Self::Succeeds => &["/bin/sleep", "0.2"],
            Self::Crashes => &["/bin/sh", "-c", "sleep 0.2; exit 3"],
            Self::CannotBeRun => &["/nonexistent/brain"],
        };
        let command = command.iter().map(ToString::to_string).collect();
        let mut spec = ExperimentSpec::new(id.clone(), command);
        spec.restart.delay = TimeSpan::from_millis(100);
        spec.restart.burst = 3;
        spec.restart.interval = Limit::At(TimeSpan::from_secs(300));
        spec
    }
}

/// The environment in which a unit manager is judged.
pub trait UnitLab {
    /// The type of the manager.
    type Manager: UnitManager + UnitRestrainer;

    /// Returns the manager to judge.
    fn manager(&self) -> &Self::Manager;

    /// Defines a new experiment with a behaviour. Returns `false` if this lab cannot provide the
    /// behaviour, which skips its clause.
    fn define(&self, id: &ExperimentId, behaviour: Behaviour) -> impl Future<Output = bool>;

    /// Lets time pass.
    fn pass(&self, span: TimeSpan) -> impl Future<Output = ()>;
}

/// Judges a manager. Stops the experiments that it has started.
///
/// # Panics
/// If a clause is violated.
pub async fn unit_manager_contract(lab: &impl UnitLab) {
    starting_twice_changes_nothing(lab).await;
    stopping_a_unit_that_is_down_changes_nothing(lab).await;
    an_undefined_experiment_cannot_be_started(lab).await;
    a_failed_start_is_reported(lab).await;
    crashes_are_restarted_until_the_limit(lab).await;
    a_manual_start_resets_the_limit(lab).await;
    a_success_is_no_failure(lab).await;
    a_restart_is_a_new_invocation(lab).await;
    enabling_twice_changes_nothing(lab).await;
    list_and_status_agree(lab).await;
    a_skip_is_no_failure(lab).await;
}

/// Message for calls that must succeed.
pub(super) const ANSWERS: &str = "the manager answers";
/// Interval and number of polls in which a clause waits for a state.
pub(super) const POLL_INTERVAL: TimeSpan = TimeSpan::from_millis(100);
pub(super) const POLLS: usize = 300;

pub(super) fn id(clause: &str) -> ExperimentId {
    ExperimentId::new(&format!("contract-{clause}")).expect("it is a plain word")
}

pub(super) async fn status(lab: &impl UnitLab, id: &ExperimentId) -> UnitStatus {
    lab.manager().status(id).await.expect(ANSWERS)
}

async fn until(lab: &impl UnitLab, id: &ExperimentId, wanted: ActiveState) -> UnitStatus {
    let mut last = status(lab, id).await;
    for _ in 0..POLLS {
        if last.active_state == wanted {
            return last;
        }
        lab.pass(POLL_INTERVAL).await;
        last = status(lab, id).await;
    }
    panic!("{id} never was {wanted}: {last:?}");
}

async fn starting_twice_changes_nothing(lab: &impl UnitLab) {
    let id = id("twice");
    assert!(lab.define(&id, Behaviour::RunsUntilStopped).await, "every place can run something");
    assert_eq!(lab.manager().start(&id).await.expect(ANSWERS), Started::Up);
    let first = status(lab, &id).await;
    assert_eq!(first.active_state, ActiveState::Active);
    assert!(first.invocation.is_some() && first.main_pid.is_some(), "{first:?}");
    assert_eq!(lab.manager().start(&id).await.expect(ANSWERS), Started::AlreadyUp);
    let second = status(lab, &id).await;
    assert_eq!((first.invocation, first.main_pid), (second.invocation, second.main_pid));
    lab.manager().stop(&id).await.expect(ANSWERS);
}

async fn stopping_a_unit_that_is_down_changes_nothing(lab: &impl UnitLab) {
    let id = id("stop");
    lab.define(&id, Behaviour::RunsUntilStopped).await;
    assert_eq!(lab.manager().stop(&id).await.expect(ANSWERS), Outcome::Unchanged);
    lab.manager().start(&id).await.expect(ANSWERS);
    assert_eq!(lab.manager().stop(&id).await.expect(ANSWERS), Outcome::Changed);
    let down = status(lab, &id).await;
    assert_eq!(down.active_state, ActiveState::Inactive, "a stop is no failure: {down:?}");
    assert_eq!(down.main_pid, None);
    assert_eq!(lab.manager().stop(&id).await.expect(ANSWERS), Outcome::Unchanged);
}

async fn an_undefined_experiment_cannot_be_started(lab: &impl UnitLab) {
    let id = id("undefined");
    let error = lab.manager().start(&id).await.expect_err("there is nothing to start");
    assert!(matches!(error, UnitError::NotFound(_) | UnitError::Job { .. }), "{error:?}");
    assert_ne!(status(lab, &id).await.active_state, ActiveState::Active);
    assert_eq!(lab.manager().stop(&id).await.expect(ANSWERS), Outcome::Unchanged);
}

async fn a_failed_start_is_reported(lab: &impl UnitLab) {
    let id = id("cannot");
    if !lab.define(&id, Behaviour::CannotBeRun).await {
        return;
    }
    let error = lab.manager().start(&id).await.expect_err("there is nothing to run");
    let UnitError::Job { verb: "start", result, .. } = error else { panic!("{error:?}") };
    assert_eq!(result, "failed");
    until(lab, &id, ActiveState::Failed).await;
    lab.manager().reset_failed(&id).await.expect(ANSWERS);
}

async fn crashes_are_restarted_until_the_limit(lab: &impl UnitLab) {
    let id = id("crashes");
    lab.define(&id, Behaviour::Crashes).await;
    lab.manager().start(&id).await.expect(ANSWERS);
    let given_up = until(lab, &id, ActiveState::Failed).await;
    // Three starts are two restarts; some managers also count the restart that the limit refuses.
    assert!(matches!(given_up.restarts, Some(2 | 3)), "{given_up:?}");
    assert_eq!(given_up.result, Some(ServiceResult::ExitCode), "the limit is not the cause");
    assert_eq!(lab.manager().reset_failed(&id).await.expect(ANSWERS), Outcome::Changed);
    assert_eq!(status(lab, &id).await.active_state, ActiveState::Inactive);
    assert_eq!(lab.manager().reset_failed(&id).await.expect(ANSWERS), Outcome::Unchanged);
}

async fn a_manual_start_resets_the_limit(lab: &impl UnitLab) {
    let id = id("by-hand");
    lab.define(&id, Behaviour::Crashes).await;
    lab.manager().start(&id).await.expect(ANSWERS);
    until(lab, &id, ActiveState::Failed).await;
    assert_eq!(lab.manager().start(&id).await.expect("the limit is lifted"), Started::Up);
    let again = until(lab, &id, ActiveState::Failed).await;
    assert!(matches!(again.restarts, Some(2 | 3)), "it counts anew: {again:?}");
    lab.manager().reset_failed(&id).await.expect(ANSWERS);
}

async fn a_success_is_no_failure(lab: &impl UnitLab) {
    let id = id("succeeds");
    lab.define(&id, Behaviour::Succeeds).await;
    assert_eq!(lab.manager().start(&id).await.expect(ANSWERS), Started::Up);
    let done = until(lab, &id, ActiveState::Inactive).await;
    // The manager may have unloaded the unit by now.
    assert!(matches!(done.result, None | Some(ServiceResult::Success)), "{done:?}");
}

async fn a_restart_is_a_new_invocation(lab: &impl UnitLab) {
    let id = id("restart");
    lab.define(&id, Behaviour::RunsUntilStopped).await;
    assert_eq!(lab.manager().restart(&id).await.expect(ANSWERS), Started::Up);
    let first = status(lab, &id).await.invocation;
    assert_eq!(lab.manager().restart(&id).await.expect(ANSWERS), Started::Up);
    let second = status(lab, &id).await.invocation;
    assert!(first.is_some() && second.is_some() && first != second);
    lab.manager().stop(&id).await.expect(ANSWERS);
}

async fn enabling_twice_changes_nothing(lab: &impl UnitLab) {
    let id = id("enable");
    lab.define(&id, Behaviour::RunsUntilStopped).await;
    match lab.manager().set_enabled(&id, true).await {
        // This manager starts no unit at boot.
        Err(UnitError::Unsupported(_)) => return,
        enabled => assert_eq!(enabled.expect(ANSWERS), Outcome::Changed),
    }
    assert_eq!(lab.manager().set_enabled(&id, true).await.expect(ANSWERS), Outcome::Unchanged);
    assert_eq!(status(lab, &id).await.enabled, Some(true));
    assert_eq!(lab.manager().set_enabled(&id, false).await.expect(ANSWERS), Outcome::Changed);
    assert_eq!(lab.manager().set_enabled(&id, false).await.expect(ANSWERS), Outcome::Unchanged);
    assert_eq!(status(lab, &id).await.enabled, Some(false));
}

async fn list_and_status_agree(lab: &impl UnitLab) {
    let (running, failed) = (id("listed-up"), id("listed-failed"));
    lab.define(&running, Behaviour::RunsUntilStopped).await;
    lab.define(&failed, Behaviour::Crashes).await;
    lab.manager().start(&running).await.expect(ANSWERS);
    lab.manager().start(&failed).await.expect(ANSWERS);
    until(lab, &failed, ActiveState::Failed).await;
    let list = lab.manager().list().await.expect(ANSWERS);
    for id in [&running, &failed] {
        let row = list.iter().find(|row| row.id == *id).expect("it is listed");
        let alone = status(lab, id).await;
        assert_eq!(row.active_state, alone.active_state);
        assert_eq!(row.sub_state, alone.sub_state);
        // A list may show less than the status, but nothing else.
        assert!(row.invocation.is_none() || row.invocation == alone.invocation);
        assert_eq!(row.enabled, alone.enabled);
        let limit = row.resources.memory_max;
        assert!(limit.is_none() || limit == alone.resources.memory_max);
    }
    assert!(list.is_sorted_by(|a, b| a.id < b.id), "each once, in alphabetical order");
    let named = [running.clone(), id("listed-never")];
    let named = lab.manager().list_named(&named).await.expect(ANSWERS);
    let row = list.iter().find(|row| row.id == running).expect("it is listed");
    let ids: Vec<&ExperimentId> = named.iter().map(|unit| &unit.id).collect();
    assert_eq!(ids, [&running], "a unit that is not loaded is left out");
    assert_eq!(named[0].invocation, row.invocation);
    assert_eq!(lab.manager().list_named(&[]).await.expect(ANSWERS), []);
    lab.manager().stop(&running).await.expect(ANSWERS);
    lab.manager().reset_failed(&failed).await.expect(ANSWERS);
}

async fn a_skip_is_no_failure(lab: &impl UnitLab) {
    let id = id("skipped");
    if !lab.define(&id, Behaviour::IsSkipped).await {
        return;
    }
    assert_eq!(lab.manager().start(&id).await.expect(ANSWERS), Started::Skipped);
    assert_eq!(status(lab, &id).await.active_state, ActiveState::Inactive);
}
