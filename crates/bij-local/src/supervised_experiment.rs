//! One experiment under supervision: runs its attempts, one after the other.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bij_core::port::FindError;
use bij_core::spec::ExperimentSpec;
use bij_core::{
    ActiveState, Cause, Exit, ExperimentId, RunId, ServiceResult, StartKind, StartLimit, SubState,
    TimeSpan, Timestamp, error_chain,
};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::control_socket::{ExperimentLock, serve};
use crate::event::{SupervisionEnd, SupervisorEvent};
use crate::policy::{self, CountedStarts};
use crate::recovery;
use crate::running_attempt::{AttemptOutcome, ExperimentContext, RunningAttempt};
use crate::status::SupervisedState;

/// An experiment whose lock this supervisor holds.
pub(crate) struct SupervisedExperiment {
    pub(crate) id: ExperimentId,
    pub(crate) lock: ExperimentLock,
    pub(crate) context: ExperimentContext,
    /// The state that the last supervisor left in the state file.
    pub(crate) previous: Option<SupervisedState>,
}

/// What follows an attempt: the end of supervision, or a restart of the run after a delay.
enum NextStep {
    End(SupervisionEnd),
    Restart { run: RunId, delay: TimeSpan },
}

impl SupervisedExperiment {
    /// Supervises the experiment until it is not restarted any more.
    pub(crate) async fn supervise(mut self) {
        let (over, stop_serving) = oneshot::channel();
        // A set ends the task if this future is cancelled.
        let mut serving = JoinSet::new();
        let ending = match self.lock.listen() {
            Ok(listener) => {
                serving.spawn(serve(listener, self.context.control.clone(), stop_serving));
                self.run_attempts().await
            }
            Err(error) => SupervisionEnd::NotStarted {
                reason: format!("cannot listen on its control socket: {error}"),
            },
        };
        self.publish_end(&ending);
        let Self { lock, context, id, .. } = self;
        // From here on no order is accepted, and another supervisor may take the experiment.
        drop(context.orders);
        drop(lock);
        context.control.close();
        let _ = over.send(());
        while serving.join_next().await.is_some() {}
        context.sink.send(SupervisorEvent::Ended { id, ending });
    }

    fn publish_end(&self, ending: &SupervisionEnd) {
        let (active, result) = final_state(ending);
        self.context.control.update(|state| {
            let has_failed = active == ActiveState::Failed;
            state.sub = if has_failed { SubState::Failed } else { SubState::Dead };
            state.active = active;
            state.since = Timestamp::from(SystemTime::now());
            (state.main_pid, state.status_text) = (None, None);
            state.cgroup_procs.clear();
            if state.result.is_none() {
                state.result = result;
            }
        });
    }

    async fn run_attempts(&mut self) -> SupervisionEnd {
        let not_started = |error: &dyn std::error::Error| SupervisionEnd::NotStarted {
            reason: error_chain(error),
        };
        let previous = self.previous.take();
        if let Err(error) =
            recovery::close_unclosed(&self.context.supervisor, previous, &self.id).await
        {
            return not_started(&error);
        }
        let mut starts = CountedStarts::default();
        let mut start = StartKind::Fresh;
        loop {
            let spec = match self.read_definition().await {
                Ok(spec) => spec,
                Err(error) => return not_started(&error),
            };
            let started = Timestamp::from(SystemTime::now());
            // The limit was checked before the wait; this counts the start.
            starts.add(StartLimit::from(&spec.restart), Instant::now());
            let attempt = match RunningAttempt::open(&self.context, &spec, start).await {
                Ok(attempt) => attempt,
                Err(error) => return not_started(&error),
            };
            let outcome = attempt.run(&mut self.context, &spec, started).await;
            if self.context.control.take_reset_request() {
                starts.reset();
            }
            match self.decide_next(outcome, &spec, &starts) {
                NextStep::End(ending) => return ending,
                NextStep::Restart { run, delay } => {
                    if let Some(ending) = self.wait_for_restart(run, delay).await {
                        return ending;
                    }
                }
            }
            start = StartKind::Restart;
        }
    }

    /// Reads the definition anew for each attempt, so that "edit the file and restart" is enough.
    async fn read_definition(&self) -> Result<ExperimentSpec, FindError> {
        let (definitions, id) = (Arc::clone(&self.context.definitions), self.id.clone());
        let found = tokio::task::spawn_blocking(move || definitions.find(&id)).await;
        match found {
            Ok(found) => found.map(|found| found.spec),
            Err(lost) => Err(FindError::Unreadable {
                path: format!("the definition of {}", self.id),
                source: std::io::Error::other(lost),
            }),
        }
    }

    fn decide_next(
        &self,
        mut outcome: AttemptOutcome,
        spec: &ExperimentSpec,
        starts: &CountedStarts,
    ) -> NextStep {
        let (cause, exit) = (outcome.end.cause, outcome.exit);
        self.context.control.update(|state| state.result = Some(outcome.result.clone()));
        let stop_ordered = !outcome.stopped.is_empty();
        if !policy::should_restart(&outcome.result, exit, stop_ordered) {
            // The stop is answered when the final state has been published.
            self.context.control.hold_until_closed(outcome.stopped.drain(..));
            return NextStep::End(ending_from_cause(cause, exit, stop_ordered));
        }
        let delay = spec.restart.delay;
        let limit = StartLimit::from(&spec.restart);
        if !starts.allow(limit, Instant::now() + delay.as_duration()) {
            let id = self.id.clone();
            self.context.sink.send(SupervisorEvent::GaveUp { id, starts: spec.restart.burst });
            return NextStep::End(SupervisionEnd::GaveUp { cause, exit });
        }
        NextStep::Restart { run: outcome.run, delay }
    }

    /// Waits before the next attempt. Returns an ending if a stop order comes first.
    async fn wait_for_restart(&mut self, run: RunId, delay: TimeSpan) -> Option<SupervisionEnd> {
        let now = Timestamp::from(SystemTime::now());
        let until = now + delay;
        self.context.control.update(|state| {
            state.active = ActiveState::Activating;
            state.sub = SubState::AutoRestart;
            state.since = now;
            state.main_pid = None;
            state.cgroup_procs.clear();
            state.restarts += 1;
        });
        self.context.sink.send(SupervisorEvent::Waiting { run, delay, until });
        tokio::select! {
            biased;
            Some(command) = self.context.orders.recv() => {
                self.context.control.hold_until_closed([command]);
                Some(SupervisionEnd::Stopped { cause: None })
            }
            () = tokio::time::sleep(delay.as_duration()) => None,
        }
    }
}

fn ending_from_cause(cause: Cause, exit: Option<Exit>, stop_ordered: bool) -> SupervisionEnd {
    match cause {
        Cause::Success => SupervisionEnd::Success,
        _ if stop_ordered => SupervisionEnd::Stopped { cause: Some(cause) },
        cause => SupervisionEnd::NotRestarted { cause, exit },
    }
}

/// Returns the state that `status` shows after `ending`, as systemd would show it.
fn final_state(ending: &SupervisionEnd) -> (ActiveState, Option<ServiceResult>) {
    let failed = (ActiveState::Failed, Some(ServiceResult::Resources));
    match ending {
        // An attempt that a signal ended and that is not restarted ended by one of systemd's clean
        // signals: SIGTERM and the like.
        SupervisionEnd::Success
        | SupervisionEnd::Stopped { .. }
        | SupervisionEnd::NotRestarted { exit: Some(Exit::Signal(_)), .. } => {
            (ActiveState::Inactive, Some(ServiceResult::Success))
        }
        SupervisionEnd::NotRestarted { .. }
        | SupervisionEnd::GaveUp { .. }
        | SupervisionEnd::NotStarted { .. } => failed,
    }
}
