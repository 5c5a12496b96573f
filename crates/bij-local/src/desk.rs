//! Where a supervised experiment can be asked and ordered, from inside and from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bij_core::{ActiveState, BootId, ExperimentId, Layout, Order, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::control_socket::Handler;
use crate::jar::{Counters, Jar, Steer, Steered, Wheel, lock};
use crate::status::State;

/// An order to stop. Whoever gave it waits for the sender to be dropped.
#[derive(Debug)]
pub(crate) struct StopCommand {
    pub(crate) order: Order,
    _done: oneshot::Sender<()>,
}

/// The desk of one experiment; clones are the same desk.
#[derive(Clone, Debug)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layout: Layout,
    state: watch::Sender<State>,
    counters: Mutex<Option<Arc<Mutex<Counters>>>>,
    wheel: Mutex<Option<Wheel>>,
    orders: mpsc::UnboundedSender<StopCommand>,
    /// Whether starts are to be forgotten.
    reset: AtomicBool,
    /// Orders that have been carried out, until everything is over.
    held: Mutex<Vec<StopCommand>>,
}

impl Desk {
    /// A desk, and where its orders come out.
    pub(crate) fn open(
        layout: &Layout,
        id: &ExperimentId,
        boot: BootId,
        now: Timestamp,
    ) -> (Self, mpsc::UnboundedReceiver<StopCommand>) {
        let (orders, inbox) = mpsc::unbounded_channel();
        // From the first moment it is on its way up: whoever asks must not take it for down.
        let mut state = State::new(id.clone(), boot, now);
        (state.active, state.sub) = (ActiveState::Activating, "start-pre".to_owned());
        let state = watch::Sender::new(state);
        let inner = Inner {
            layout: layout.clone(),
            state,
            counters: Mutex::new(None),
            wheel: Mutex::new(None),
            orders,
            reset: AtomicBool::new(false),
            held: Mutex::new(Vec::new()),
        };
        (Self(Arc::new(inner)), inbox)
    }

    /// Keeps orders whose givers are to be answered when everything is over.
    pub(crate) fn hold(&self, commands: impl IntoIterator<Item = StopCommand>) {
        lock(&self.0.held).extend(commands);
    }

    /// Whether somebody has asked to forget how often it was started, since the last call.
    pub(crate) fn take_reset(&self) -> bool {
        self.0.reset.swap(false, Ordering::Relaxed)
    }

    /// Everything is over: answers whoever ordered it.
    pub(crate) fn close(&self) {
        lock(&self.0.held).clear();
    }

    /// Changes the state, for those who watch and for those who come later.
    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) {
        self.0.state.send_modify(change);
        // Without the file a later `status` knows less; the ledger has the whole story.
        let _ = self.0.state.borrow().write(&self.0.layout);
    }

    /// Changes what only those who ask now need to know.
    pub(crate) fn show(&self, change: impl FnOnce(&mut State)) {
        self.0.state.send_modify(change);
    }

    /// Whose counters to read and whom to hold back, while there is an attempt.
    pub(crate) fn set_jar(&self, jar: Option<&Jar>) {
        *lock(&self.0.counters) = jar.map(Jar::shared);
        *lock(&self.0.wheel) = jar.and_then(Jar::wheel);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }
}

impl Handler for Desk {
    fn state(&self) -> State {
        let mut state = self.0.state.borrow().clone();
        if let Some(counters) = lock(&self.0.counters).clone() {
            let counters = lock(&counters);
            state.frozen = counters.frozen;
            state.usage = Some(counters.resources.clone().into());
        }
        state
    }

    fn reset_failed(&self) -> bool {
        self.0.reset.store(true, Ordering::Relaxed);
        let changed = {
            let state = self.0.state.borrow();
            state.restarts > 0 || state.active == ActiveState::Failed
        };
        self.update(|state| {
            state.restarts = 0;
            // Its supervisor may be just about to leave.
            if state.active == ActiveState::Failed {
                (state.active, state.result) = (ActiveState::Inactive, None);
                "dead".clone_into(&mut state.sub);
            }
        });
        changed
    }

    async fn steer(&self, steer: Steer) -> Steered {
        let wheel = lock(&self.0.wheel).clone();
        match wheel {
            Some(wheel) => wheel.turn(steer).await,
            None if self.0.state.borrow().is_down() => Steered::Unchanged,
            None => Steered::NotUp,
        }
    }

    async fn stop(&self, order: Order) -> bool {
        if self.0.state.borrow().is_down() {
            return false;
        }
        let (done, finished) = oneshot::channel();
        // If nobody takes orders any more, it has ended already.
        if self.0.orders.send(StopCommand { order, _done: done }).is_ok() {
            // Never answered, only dropped when all is over.
            let _ = finished.await;
        }
        true
    }
}
