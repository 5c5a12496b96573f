//! Handles to a coordinator that runs in another task.

use std::collections::BTreeMap;
use std::sync::Arc;

use bij_core::queue::GoingDown;
use bij_core::request::QueueEntry;
use bij_core::{Bytes, ExperimentId};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::heat::HeatMove;
use crate::policy::{PowerTarget, ThermalStatus};
use crate::{Coordinator, Now, Ports, RequestError, RunningExperiments, SubmitRequest};

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
    pub(crate) receiver: mpsc::Receiver<Message<P>>,
    /// Sequence number of the newest event, for watchers.
    pub(crate) newest: watch::Sender<u64>,
    /// Experiments that are up, for heat control.
    pub(crate) running_experiments: watch::Sender<Arc<RunningExperiments>>,
    /// Power mode and clocks that the board should have.
    pub(crate) power_target: watch::Sender<PowerTarget>,
}

impl<P: Ports> Inbox<P> {
    /// Returns whether every handle has been dropped, so that no further request comes.
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }
}

/// A call on the coordinator.
type Work<P> = Box<dyn FnOnce(&mut Coordinator<P>, Now) + Send>;

pub(crate) enum Message<P: Ports> {
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
        let (wish_sender, power_target) = watch::channel(PowerTarget::default());
        let inbox = Inbox {
            receiver,
            newest: newest_sender,
            running_experiments: running_sender,
            power_target: wish_sender,
        };
        (Self { sender, newest, running_experiments, power_target }, inbox)
    }

    /// Returns a watch on the sequence number of the newest event that the coordinator knows; 0 before its
    /// first tick.
    pub fn newest_event(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    /// Returns a watch on the experiments that are up, for a [heat ladder](crate::heat): it can be read however
    /// busy the coordinator is.
    pub fn running_experiments(&self) -> watch::Receiver<Arc<RunningExperiments>> {
        self.running_experiments.clone()
    }

    /// Returns a watch on the power mode and clocks that the board should have. The task that switches the board
    /// calls [`Coordinator::begin_power_switch`] first.
    pub fn power_target(&self) -> watch::Receiver<PowerTarget> {
        self.power_target.clone()
    }

    /// Reports the status of heat control and its moves since the last report, without waiting for the
    /// coordinator.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended, or its inbox is full; then the same is to be reported again.
    pub fn heat(&self, status: ThermalStatus, moves: Vec<HeatMove>) -> Result<(), Gone> {
        let work: Work<P> = Box::new(move |coordinator, now| coordinator.heat(status, &moves, now));
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
