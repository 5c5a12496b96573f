//! Runs a coordinator in a task of its own: handles send it requests, and requests, results and time wake it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use bij_core::queue::GoingDown;
use bij_core::request::QueueEntry;
use bij_core::{Bytes, ExperimentId, TimeSpan};
use futures_util::future::{Either, select};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::coordinator::Finished;
use crate::policy::PowerTarget;
use crate::thermal::{RunningExperiments, ThermalDecision, ThermalStatus};
use crate::{Clock, Coordinator, Now, Ports, RequestError, SubmitRequest};

/// Number of requests that may wait; a further caller waits until there is space.
const QUEUE_CAPACITY: usize = 1024;

/// A handle to a coordinator that [`serve`](crate::serve()) runs; it can be cloned.
pub struct Handle<P: Ports> {
    sender: mpsc::Sender<Message<P>>,
    newest: watch::Receiver<u64>,
    running_experiments: watch::Receiver<Arc<RunningExperiments>>,
    power_target: watch::Receiver<PowerTarget>,
}

/// Receiver of the requests that are made through handles.
pub struct Inbox<P: Ports> {
    receiver: mpsc::Receiver<Message<P>>,
    /// Sequence number of the newest event, for watchers.
    newest: watch::Sender<u64>,
    /// Experiments that are up, for thermal control.
    running_experiments: watch::Sender<Arc<RunningExperiments>>,
    /// Power mode and clocks that the board should have.
    power_target: watch::Sender<PowerTarget>,
}

impl<P: Ports> Inbox<P> {
    /// Returns whether every handle has been dropped, so that no further request comes.
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }
}

/// A call on the coordinator.
type Work<P> = Box<dyn FnOnce(&mut Coordinator<P>, Now) + Send>;

enum Message<P: Ports> {
    /// A submission; adjacent submissions share one transaction.
    Submit(SubmitRequest, oneshot::Sender<Result<Vec<QueueEntry>, RequestError>>),
    Work(Work<P>),
}

/// Error of a request to a coordinator that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the coordinator has ended")]
pub struct Gone;

impl<P: Ports> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            newest: self.newest.clone(),
            running_experiments: self.running_experiments.clone(),
            power_target: self.power_target.clone(),
        }
    }
}

impl<P: Ports> Handle<P> {
    /// Returns a handle and the inbox that receives its requests.
    pub fn new() -> (Self, Inbox<P>) {
        let (sender, receiver) = mpsc::channel(QUEUE_CAPACITY);
        let (newest_sender, newest) = watch::channel(0);
        let (running_sender, running_experiments) = watch::channel(Arc::default());
        let (target_sender, power_target) = watch::channel(PowerTarget::default());
        let inbox = Inbox {
            receiver,
            newest: newest_sender,
            running_experiments: running_sender,
            power_target: target_sender,
        };
        (Self { sender, newest, running_experiments, power_target }, inbox)
    }

    /// Returns a watch on the sequence number of the newest event that the coordinator knows; 0 before its
    /// first tick.
    pub fn newest_event(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    /// Returns a watch on the experiments that are up, for a [thermal ladder](crate::thermal): it can be read however
    /// busy the coordinator is.
    pub fn running_experiments(&self) -> watch::Receiver<Arc<RunningExperiments>> {
        self.running_experiments.clone()
    }

    /// Returns a watch on the power mode and clocks that the board should have. The task that switches the board
    /// calls [`Coordinator::begin_power_switch`] first.
    pub fn power_target(&self) -> watch::Receiver<PowerTarget> {
        self.power_target.clone()
    }

    /// Reports the status of thermal control and its decisions since the last report, without waiting for the
    /// coordinator.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended, or its inbox is full; then the same is to be reported again.
    pub fn report_thermal(
        &self,
        status: ThermalStatus,
        decisions: Vec<ThermalDecision>,
    ) -> Result<(), Gone> {
        let work: Work<P> =
            Box::new(move |coordinator, now| coordinator.update_thermal(status, &decisions, now));
        self.sender.try_send(Message::Work(work)).map_err(|_| Gone)
    }

    /// Reports the GPU's memory that experiments use, on a board where it is part of the machine's memory; an
    /// experiment without an entry uses none.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn gpu_memory(
        &self,
        reported: Result<BTreeMap<ExperimentId, Bytes>, String>,
    ) -> Result<(), Gone> {
        let work: Work<P> = Box::new(move |coordinator, now| coordinator.gpu_memory(reported, now));
        self.sender.send(Message::Work(work)).await.map_err(|_| Gone)
    }

    /// Calls a function on the coordinator and returns its result.
    ///
    /// ```
    /// use bij_coordinator::{Gone, Handle, Ports};
    /// use bij_core::request::QueueEntry;
    ///
    /// async fn list<P: Ports>(handle: &Handle<P>) -> Result<Vec<QueueEntry>, Gone> {
    ///     handle.ask(|coordinator, now| coordinator.queue(now)).await
    /// }
    /// ```
    ///
    /// The function is called even if the caller no longer waits for the result.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Coordinator<P>, Now) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let work: Work<P> = Box::new(move |coordinator, now| {
            // The caller may have stopped waiting.
            let _ = answer.send(work(coordinator, now));
        });
        self.sender.send(Message::Work(work)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Submits runs, all or none; adjacent submissions share one transaction.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended; the runs may or may not be queued then.
    pub async fn submit(
        &self,
        request: SubmitRequest,
    ) -> Result<Result<Vec<QueueEntry>, RequestError>, Gone> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(Message::Submit(request, answer)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Reports a change of an experiment's unit.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn unit_changed(&self, experiment: ExperimentId) -> Result<(), Gone> {
        self.notify(move |coordinator| coordinator.unit_changed(experiment)).await
    }

    /// Reports that a shutdown has begun, or was cancelled. Nothing is started during a shutdown.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn set_going_down(&self, what: GoingDown, is_going_down: bool) -> Result<(), Gone> {
        self.notify(move |coordinator| coordinator.set_going_down(what, is_going_down)).await
    }

    /// Reports that signals of the service manager may have been lost.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn resync(&self) -> Result<(), Gone> {
        self.notify(Coordinator::resync).await
    }

    async fn notify(
        &self,
        report: impl FnOnce(&mut Coordinator<P>) + Send + 'static,
    ) -> Result<(), Gone> {
        let work: Work<P> = Box::new(move |coordinator, _| report(coordinator));
        self.sender.send(Message::Work(work)).await.map_err(|_| Gone)
    }
}

/// Number of requests handled between two ticks.
const REQUESTS_PER_TICK: usize = 256;
/// Longest sleep when nothing is due: a day, well within the range of every clock.
const MAX_SLEEP: TimeSpan = TimeSpan::from_secs(86_400);

/// Event that has woken the coordinator.
enum Wake {
    /// Number of received requests; 0 when every handle has been dropped.
    Requests(usize),
    Finished(Finished),
    Time,
}

/// Runs a coordinator until the last handle is dropped, and returns it.
///
/// Calls to the store block, so it needs a thread and a runtime of its own that run nothing else. Requests
/// gather meanwhile, and submissions that have gathered share a transaction. Dropping the future stops the
/// coordinator between two steps, as if it had been killed: nothing is lost.
pub async fn serve<P: Ports>(
    mut coordinator: Coordinator<P>,
    mut inbox: Inbox<P>,
    clock: &impl Clock,
) -> Coordinator<P> {
    let mut messages = Vec::new();
    loop {
        let now = clock.now();
        coordinator.tick(now).await;
        let newest = coordinator.newest_event();
        inbox.newest.send_if_modified(|published| std::mem::replace(published, newest) != newest);
        let target = coordinator.power_target();
        inbox.power_target.send_if_modified(|published| {
            let has_changed = *published != target;
            *published = target;
            has_changed
        });
        let running_experiments = coordinator.running_experiments();
        inbox.running_experiments.send_if_modified(|published| {
            let has_changed = **published != running_experiments;
            if has_changed {
                *published = Arc::new(running_experiments);
            }
            has_changed
        });
        let due = coordinator.next_tick_due();
        let wait = due.map_or(MAX_SLEEP, |due| (due - now.uptime).min(MAX_SLEEP));
        match next(&mut coordinator, &mut inbox, &mut messages, clock, wait).await {
            Wake::Requests(0) => return coordinator,
            Wake::Requests(_) => answer(&mut coordinator, messages.drain(..), clock.now()),
            Wake::Finished(finished) => coordinator.finish(finished, clock.now()),
            Wake::Time => {}
        }
    }
}

/// Waits for the next event. All three waits are cancel-safe: `recv_many` takes either nothing or all that it
/// returns, operations under way stay so, and time passes anyway.
async fn next<P: Ports>(
    coordinator: &mut Coordinator<P>,
    inbox: &mut Inbox<P>,
    messages: &mut Vec<Message<P>>,
    clock: &impl Clock,
    wait: TimeSpan,
) -> Wake {
    let asked = pin!(inbox.receiver.recv_many(messages, REQUESTS_PER_TICK));
    let finished = pin!(coordinator.next_finished());
    let time = pin!(clock.sleep(wait));
    match select(finished, select(asked, time)).await {
        Either::Left((finished, _)) => Wake::Finished(finished),
        Either::Right((Either::Left((count, _)), _)) => Wake::Requests(count),
        Either::Right((Either::Right(((), _)), _)) => Wake::Time,
    }
}

/// Carries requests out in order; adjacent submissions share one transaction.
fn answer<P: Ports>(
    coordinator: &mut Coordinator<P>,
    messages: impl Iterator<Item = Message<P>>,
    now: Now,
) {
    let mut requests = Vec::new();
    let mut callers = Vec::new();
    let submit_gathered =
        |coordinator: &mut Coordinator<P>, requests: &mut Vec<_>, callers: &mut Vec<_>| {
            let answers = coordinator.submit_together(std::mem::take(requests), now);
            for (caller, answer) in callers.drain(..).zip(answers) {
                let caller: oneshot::Sender<_> = caller;
                // A caller that no longer waits finds its runs in the queue.
                let _ = caller.send(answer);
            }
        };
    for message in messages {
        match message {
            Message::Submit(request, caller) => {
                requests.push(request);
                callers.push(caller);
            }
            Message::Work(work) => {
                submit_gathered(coordinator, &mut requests, &mut callers);
                work(coordinator, now);
            }
        }
    }
    submit_gathered(coordinator, &mut requests, &mut callers);
}
