//! Starts and stops of units that are under way, and their results.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use bij_core::port::{Change, Started};
use bij_core::queue::{EventKind, QueueState};
use bij_core::{ExperimentId, Order, OrderKind, Outcome, RunEnd, RunId, TimeSpan};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Coordinator;
use super::catch_up::newest_attempt;
use crate::policy::{BackOff, Busy, StopRequest};
use crate::{Now, Ports};

/// Starts and stops that are under way, and finished ones whose result has not been taken yet.
#[derive(Default)]
pub(super) struct UnderWay {
    pending: FuturesUnordered<BoxFuture<'static, Finished>>,
    finished: VecDeque<Finished>,
}

impl UnderWay {
    pub(super) fn push(&mut self, order: BoxFuture<'static, Finished>) {
        self.pending.push(order);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.finished.is_empty()
    }

    /// Polls each operation once, so that its request is sent, without waiting for any.
    pub(super) async fn poll_all(&mut self) {
        poll_fn(|context| {
            while let Poll::Ready(Some(finished)) = self.pending.poll_next_unpin(context) {
                self.finished.push_back(finished);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Waits for the next finished operation; `None` if none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Finished> {
        match self.finished.pop_front() {
            Some(finished) => Some(finished),
            None => self.pending.next().await,
        }
    }
}

/// A start or stop that has finished, with its result.
#[derive(Debug)]
pub struct Finished {
    pub(super) experiment: ExperimentId,
    pub(super) done: Done,
}

/// Result of a start or stop; a stop fails with the text of its error.
#[derive(Debug)]
pub(super) enum Done {
    Start { run: RunId, result: Result<Started, Failure> },
    Stop { result: Result<Outcome, String> },
}

/// Failure of a start, with the text of its error.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same start may succeed later without intervention.
    Transient(String),
    /// Something has to be mended first.
    Permanent(String),
}

/// Delay before a failed stop is tried again.
const STOP_RETRY_DELAY: TimeSpan = TimeSpan::from_secs(5);

impl<P: Ports> Coordinator<P> {
    /// Waits until a start or stop finishes; for ever if none is under way.
    ///
    /// Cancel-safe.
    pub async fn next_finished(&mut self) -> Finished {
        match self.under_way.next().await {
            Some(finished) => finished,
            None => std::future::pending().await,
        }
    }

    /// [Ticks](Self::tick) until nothing is left to do, and waits for each start and stop. It is meant for
    /// programs whose units start at once and do not call back.
    pub async fn settle(&mut self, now: Now) {
        self.tick(now).await;
        while self.is_under_way() {
            let finished = self.next_finished().await;
            self.finish(finished, now);
            self.tick(now).await;
        }
    }

    /// Returns whether a start or stop is under way.
    pub fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Records the result of a start or stop. The next [`tick`](Self::tick) continues from there.
    pub fn finish(&mut self, finished: Finished, now: Now) {
        let Finished { experiment, done } = finished;
        self.seen.now = now;
        let was = match &done {
            Done::Start { .. } => Busy::Starting,
            Done::Stop { .. } => Busy::Stopping,
        };
        if self.state.busy.get(&experiment) == Some(&was) {
            self.state.busy.remove(&experiment);
        }
        self.outdated.unit(experiment.clone());
        match done {
            Done::Start { run, result: Ok(Started::Up | Started::AlreadyUp) } => {
                self.state.back_off.remove(&run);
            }
            Done::Start { run, result: Ok(Started::Skipped) } => {
                let text = "a condition of its unit said no".to_owned();
                self.start_failed(run, Failure::Permanent(text));
            }
            Done::Start { run, result: Err(failure) } => self.start_failed(run, failure),
            Done::Stop { result: Ok(Outcome::Changed | Outcome::Unchanged) } => {
                let request = self.state.stops.remove(&experiment);
                self.stopped_between_attempts(&experiment, request);
            }
            Done::Stop { result: Err(text) } => self.stop_failed(experiment, text),
        }
    }

    /// Ends the run of a unit that was stopped while it waited for its restart: there was no attempt whose end
    /// could name the requester. A run whose end was not recorded is ended too.
    fn stopped_between_attempts(
        &mut self,
        experiment: &ExperimentId,
        request: Option<StopRequest>,
    ) {
        let Some(StopRequest { order, not_before: _ }) = request else { return };
        match order.kind {
            OrderKind::Stop | OrderKind::TimeLimit => {}
            // These only interrupt a run; a decision follows.
            OrderKind::Heat
            | OrderKind::GpuMemory
            | OrderKind::Shutdown
            | OrderKind::ManagerStop => return,
        }
        if !self.catch_up() {
            return;
        }
        let running = self.state.up_of(experiment).filter(|run| run.state == QueueState::Running);
        let running = running.map(|run| (run.run.clone(), run.stop.is_some()));
        let Some((run, is_wanted_stopped)) = running else { return };
        let attempt = newest_attempt(&self.adapters.store, &run).ok().flatten();
        if is_wanted_stopped || attempt.is_some_and(|attempt| attempt.end.is_some()) {
            // If the store does not take it, a later decision finds that the run has given up.
            let _ = self.change(&[Change::End { run, end: RunEnd::Stopped, by: order.by }]);
        }
    }

    /// Handles a failed start. Once an attempt has begun, its end is in the ledger, and systemd restarts it or
    /// not; then there is nothing to do here.
    fn start_failed(&mut self, run: RunId, failure: Failure) {
        self.catch_up();
        let is_starting =
            |run: &bij_core::queue::QueuedRun| matches!(run.state, QueueState::Starting { .. });
        let Some(queued) = self.state.runs.get(&run).filter(|run| is_starting(run)) else { return };
        let (is_transient, text) = match failure {
            Failure::Transient(text) => (true, text),
            Failure::Permanent(text) => {
                let reason = self.obstacle(&run.experiment);
                match reason.filter(|reason| !text.contains(reason.as_str())) {
                    Some(reason) => (false, format!("{text}: {reason}")),
                    None => (false, text),
                }
            }
        };
        let back_off = BackOff::after(self.state.back_off.get(&run), self.seen.now.uptime, &text);
        let mut data = super::EventData::new();
        data.insert("action".to_owned(), "start".to_owned());
        data.insert("text".to_owned(), text);
        let note = Change::Note { kind: EventKind::ActionFailed, run: Some(run.clone()), data };
        let mut changes = vec![note];
        // A transient error is not the run's fault: it stays `Starting`.
        if !is_transient {
            changes.push(back_off.consequence(queued));
        }
        // If the store does not take it, the run stays `Starting`; it is delayed all the same.
        let _ = self.change(&changes);
        self.state.back_off.insert(run, back_off);
    }

    fn stop_failed(&mut self, experiment: ExperimentId, text: String) {
        let run = self.state.up_of(&experiment).map(|run| run.run.clone());
        let data = [("action", "stop".to_owned()), ("text", text)];
        self.note(EventKind::ActionFailed, run.as_ref(), data);
        let not_before = self.seen.now.uptime + STOP_RETRY_DELAY;
        let request = self.state.stops.get(&experiment).map(|request| request.order.clone());
        let order = request.unwrap_or_else(|| Order::stop(String::new()));
        self.state.stops.insert(experiment, StopRequest { order, not_before });
    }
}
