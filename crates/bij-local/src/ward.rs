//! One experiment under supervision: its attempts, one after the other.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bij_core::definition::ExperimentSpec;
use bij_core::port::{FindError, Ledger};
use bij_core::{
    ActiveState, Cause, Exit, ExperimentId, RunId, ServiceResult, StartKind, StartLimit, TimeSpan,
    Timestamp,
};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::control_socket::{Seat, serve};
use crate::event::{Ending, Event};
use crate::leftovers;
use crate::life::{Life, Lived, Surroundings, chain};
use crate::policy::{self, CountedStarts};
use crate::status::State;

/// An experiment whose seat is taken.
pub(crate) struct Ward<L> {
    pub(crate) id: ExperimentId,
    pub(crate) seat: Seat,
    pub(crate) around: Surroundings<L>,
    /// What the last supervisor said of it.
    pub(crate) left: Option<State>,
}

/// Why it is not restarted, or the attempt that is to be followed by another.
enum Next {
    Over(Ending),
    Again { run: RunId, delay: TimeSpan },
}

impl<L: Ledger + Send + 'static> Ward<L> {
    /// Supervises it to its end.
    pub(crate) async fn supervise(mut self) {
        let (over, stop_serving) = oneshot::channel();
        // In a set, so that it ends with this should this be cancelled.
        let mut serving = JoinSet::new();
        let ending = match self.seat.listen() {
            Ok(listener) => {
                serving.spawn(serve(listener, self.around.desk.clone(), stop_serving));
                self.attempt_after_attempt().await
            }
            Err(error) => {
                Ending::NotStarted { reason: format!("cannot listen beside it: {error}") }
            }
        };
        self.show_end(&ending);
        let Self { seat, around, id, .. } = self;
        // Nobody can order any more, and the next supervisor may come.
        drop(around.orders);
        drop(seat);
        around.desk.close();
        let _ = over.send(());
        while serving.join_next().await.is_some() {}
        around.sink.send(Event::Ended { id, ending });
    }

    fn show_end(&self, ending: &Ending) {
        let (active, result) = last_state(ending);
        self.around.desk.update(|state| {
            let sub = if active == ActiveState::Failed { "failed" } else { "dead" };
            sub.clone_into(&mut state.sub);
            state.active = active;
            state.since = Timestamp::from(SystemTime::now());
            (state.main_pid, state.status_text) = (None, None);
            state.cgroup_procs.clear();
            if state.result.is_none() {
                state.result = result;
            }
        });
    }

    async fn attempt_after_attempt(&mut self) -> Ending {
        let not_started =
            |error: &dyn std::error::Error| Ending::NotStarted { reason: chain(error) };
        let left = self.left.take();
        if let Err(error) = leftovers::close(&self.around.shared, left, &self.id).await {
            return not_started(&error);
        }
        let mut starts = CountedStarts::default();
        let mut start = StartKind::Fresh;
        loop {
            let spec = match self.find().await {
                Ok(spec) => spec,
                Err(error) => return not_started(&error),
            };
            let started = Timestamp::from(SystemTime::now());
            // Whether it was allowed was asked before the wait; this counts it.
            starts.add(StartLimit::from(&spec.restart), Instant::now());
            let life = match Life::open(&self.around, &spec, start).await {
                Ok(life) => life,
                Err(error) => return not_started(&error),
            };
            let lived = life.live(&mut self.around, &spec, started).await;
            if self.around.desk.take_reset() {
                starts.reset();
            }
            match self.judge(lived, &spec, &starts) {
                Next::Over(ending) => return ending,
                Next::Again { run, delay } => {
                    if let Some(ending) = self.wait(run, delay).await {
                        return ending;
                    }
                }
            }
            start = StartKind::Restart;
        }
    }

    /// The definition as it is now: "edit the file and restart" is enough.
    async fn find(&self) -> Result<ExperimentSpec, FindError> {
        let (definitions, id) = (Arc::clone(&self.around.definitions), self.id.clone());
        let found = tokio::task::spawn_blocking(move || definitions.find(&id)).await;
        match found {
            Ok(found) => found.map(|found| found.spec),
            Err(lost) => Err(FindError::Unreadable {
                path: format!("the definition of {}", self.id),
                source: std::io::Error::other(lost),
            }),
        }
    }

    fn judge(&self, mut lived: Lived, spec: &ExperimentSpec, starts: &CountedStarts) -> Next {
        let (cause, exit) = (lived.end.cause, lived.exit);
        self.around.desk.update(|state| state.result = Some(lived.result.clone()));
        let ordered = !lived.stopped.is_empty();
        if !policy::shall_restart(&lived.result, exit, ordered) {
            // Whoever ordered the stop is answered when the last state stands.
            self.around.desk.hold(lived.stopped.drain(..));
            return Next::Over(ending_of(cause, exit, ordered));
        }
        let delay = spec.restart.delay;
        let limit = StartLimit::from(&spec.restart);
        if !starts.allow(limit, Instant::now() + delay.as_duration()) {
            let id = self.id.clone();
            self.around.sink.send(Event::GaveUp { id, starts: spec.restart.burst });
            return Next::Over(Ending::GaveUp { cause, exit });
        }
        Next::Again { run: lived.run, delay }
    }

    /// Waits before the next attempt; an order to stop ends it all.
    async fn wait(&mut self, run: RunId, delay: TimeSpan) -> Option<Ending> {
        let now = Timestamp::from(SystemTime::now());
        let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::from_micros(now.as_micros().saturating_add(micros));
        self.around.desk.update(|state| {
            state.active = ActiveState::Activating;
            "auto-restart".clone_into(&mut state.sub);
            state.since = now;
            state.main_pid = None;
            state.cgroup_procs.clear();
            state.restarts += 1;
        });
        self.around.sink.send(Event::Waiting { run, delay, until });
        tokio::select! {
            biased;
            Some(command) = self.around.orders.recv() => {
                self.around.desk.hold([command]);
                Some(Ending::Stopped { cause: None })
            }
            () = tokio::time::sleep(delay.as_duration()) => None,
        }
    }
}

fn ending_of(cause: Cause, exit: Option<Exit>, ordered: bool) -> Ending {
    match cause {
        Cause::Success => Ending::Success,
        _ if ordered => Ending::Stopped { cause: Some(cause) },
        cause => Ending::NotRestarted { cause, exit },
    }
}

/// What `status` says afterwards, as systemd would.
fn last_state(ending: &Ending) -> (ActiveState, Option<ServiceResult>) {
    let failed = (ActiveState::Failed, Some(ServiceResult::Resources));
    match ending {
        // What is not restarted after a signal died of SIGTERM or its kin: clean for systemd.
        Ending::Success
        | Ending::Stopped { .. }
        | Ending::NotRestarted { exit: Some(Exit::Signal(_)), .. } => {
            (ActiveState::Inactive, Some(ServiceResult::Success))
        }
        Ending::NotRestarted { .. } | Ending::GaveUp { .. } | Ending::NotStarted { .. } => failed,
    }
}
