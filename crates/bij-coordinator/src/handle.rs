//! A hand on a coordinator that runs elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use bij_core::queue::GoingDown;
use bij_core::{Bytes, ExperimentId};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::heat::HeatMove;
use crate::policy::{PowerWish, Warmth};
use crate::{Coordinator, Listed, Lives, Now, Ports, RequestError, SubmitRequest};

/// So many requests may wait; who comes later waits before the door.
const WAITING_ROOM: usize = 1024;

/// A hand on a coordinator that [`serve`](crate::serve()) runs elsewhere; clones are further hands.
pub struct Handle<P: Ports> {
    sender: mpsc::Sender<Message<P>>,
    newest: watch::Receiver<u64>,
    lives: watch::Receiver<Arc<Lives>>,
    power_wish: watch::Receiver<PowerWish>,
}

/// What is asked through the handles.
pub struct Inbox<P: Ports> {
    pub(crate) receiver: mpsc::Receiver<Message<P>>,
    /// The number of the newest event, for whoever watches.
    pub(crate) newest: watch::Sender<u64>,
    /// What lives, for the heat ladder.
    pub(crate) lives: watch::Sender<Arc<Lives>>,
    /// How the board is to be.
    pub(crate) power_wish: watch::Sender<PowerWish>,
}

impl<P: Ports> Inbox<P> {
    /// Whether every handle is gone, so that nothing will be asked any more.
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }
}

/// What is done with the coordinator.
type Work<P> = Box<dyn FnOnce(&mut Coordinator<P>, Now) + Send>;

pub(crate) enum Message<P: Ports> {
    /// Submissions that wait together are taken in together.
    Submit(SubmitRequest, oneshot::Sender<Result<Vec<Listed>, RequestError>>),
    Work(Work<P>),
}

/// The coordinator has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the coordinator has ended")]
pub struct Gone;

impl<P: Ports> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            newest: self.newest.clone(),
            lives: self.lives.clone(),
            power_wish: self.power_wish.clone(),
        }
    }
}

impl<P: Ports> Handle<P> {
    /// A first hand, and where what it asks arrives.
    pub fn new() -> (Self, Inbox<P>) {
        let (sender, receiver) = mpsc::channel(WAITING_ROOM);
        let (newest_sender, newest) = watch::channel(0);
        let (lives_sender, lives) = watch::channel(Arc::default());
        let (wish_sender, power_wish) = watch::channel(PowerWish::default());
        let inbox =
            Inbox { receiver, newest: newest_sender, lives: lives_sender, power_wish: wish_sender };
        (Self { sender, newest, lives, power_wish }, inbox)
    }

    /// The number of the newest event that the coordinator knows, as it changes; 0 before it has
    /// looked for the first time.
    pub fn newest_event(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    /// What lives, as it changes, for a [heat ladder](crate::heat): it can be looked at however busy
    /// the coordinator is.
    pub fn lives(&self) -> watch::Receiver<Arc<Lives>> {
        self.lives.clone()
    }

    /// The power mode that the board is to be switched to, and for whom its clocks are to be held, as
    /// it changes. Whoever switches it asks [`Coordinator::begin_power_switch`] before.
    pub fn power_wish(&self) -> watch::Receiver<PowerWish> {
        self.power_wish.clone()
    }

    /// Tells how the heat ladder stands, and what it has done since it was told last. It is not waited
    /// for.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended, or cannot take in anything for now: then the same is
    /// to be told once more.
    pub fn heat(&self, warmth: Warmth, moves: Vec<HeatMove>) -> Result<(), Gone> {
        let work: Work<P> = Box::new(move |coordinator, now| coordinator.heat(warmth, &moves, now));
        self.sender.try_send(Message::Work(work)).map_err(|_| Gone)
    }

    /// Tells what experiments have of the GPU's memory, on a board where it is the machine's own; one
    /// that is not named has none.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn gpu_memory(
        &self,
        told: Result<BTreeMap<ExperimentId, Bytes>, String>,
    ) -> Result<(), Gone> {
        let work: Work<P> = Box::new(move |coordinator, now| coordinator.gpu_memory(told, now));
        self.sender.send(Message::Work(work)).await.map_err(|_| Gone)
    }

    /// Asks the coordinator for something.
    ///
    /// ```
    /// use bij_coordinator::{Gone, Handle, Listed, Ports};
    ///
    /// async fn look<P: Ports>(handle: &Handle<P>) -> Result<Vec<Listed>, Gone> {
    ///     handle.ask(|coordinator, now| coordinator.queue(now)).await
    /// }
    /// ```
    ///
    /// What is asked for is done even if nobody waits for the answer any more.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Coordinator<P>, Now) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let work: Work<P> = Box::new(move |coordinator, now| {
            // Nobody may be there any more to hear it.
            let _ = answer.send(work(coordinator, now));
        });
        self.sender.send(Message::Work(work)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Takes runs in, all or none; submissions that wait together share one transaction.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended; whether the runs are taken in is not known then.
    pub async fn submit(
        &self,
        request: SubmitRequest,
    ) -> Result<Result<Vec<Listed>, RequestError>, Gone> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(Message::Submit(request, answer)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Tells that the service manager has said something of an experiment's unit.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn unit_changed(&self, experiment: ExperimentId) -> Result<(), Gone> {
        self.tell(move |coordinator| coordinator.unit_changed(experiment)).await
    }

    /// Tells that something is going down, or is not after all: meanwhile nothing is started.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn goes_down(&self, what: GoingDown, goes: bool) -> Result<(), Gone> {
        self.tell(move |coordinator| coordinator.goes_down(what, goes)).await
    }

    /// Tells that what the service manager has said may have been lost.
    ///
    /// # Errors
    /// [`Gone`] if the coordinator has ended.
    pub async fn resync(&self) -> Result<(), Gone> {
        self.tell(Coordinator::resync).await
    }

    async fn tell(
        &self,
        news: impl FnOnce(&mut Coordinator<P>) + Send + 'static,
    ) -> Result<(), Gone> {
        let work: Work<P> = Box::new(move |coordinator, _| news(coordinator));
        self.sender.send(Message::Work(work)).await.map_err(|_| Gone)
    }
}
