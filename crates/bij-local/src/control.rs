//! The control handle of a supervised experiment: reads its state, stops it, restrains it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bij_core::{ActiveState, BootId, ExperimentId, Layout, Order, SubState, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::resource_guard::{
    Counters, ResourceGuard, RestraintHandle, RestraintOutcome, RestraintRequest, lock,
};
use crate::status::SupervisedState;

/// An order to stop. The caller waits until its sender is dropped.
#[derive(Debug)]
pub(crate) struct StopCommand {
    pub(crate) order: Order,
    _done: oneshot::Sender<()>,
}

/// Control handle of one experiment; clones share its state.
#[derive(Clone, Debug)]
pub(crate) struct Control(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layout: Layout,
    state: watch::Sender<SupervisedState>,
    counters: Mutex<Option<Arc<Mutex<Counters>>>>,
    restraint: Mutex<Option<RestraintHandle>>,
    orders: mpsc::UnboundedSender<StopCommand>,
    /// Whether the start limit is to be reset.
    reset: AtomicBool,
    /// Executed stop orders, which are answered when supervision ends.
    held: Mutex<Vec<StopCommand>>,
}

impl Control {
    /// Makes a control and the queue from which the supervisor takes its orders.
    pub(crate) fn new(
        layout: &Layout,
        id: &ExperimentId,
        boot: BootId,
        now: Timestamp,
    ) -> (Self, mpsc::UnboundedReceiver<StopCommand>) {
        let (orders, inbox) = mpsc::unbounded_channel();
        // Activating from the first moment, so that no client takes the experiment for down.
        let mut state = SupervisedState::new(id.clone(), boot, now);
        (state.active, state.sub) = (ActiveState::Activating, SubState::StartPre);
        let state = watch::Sender::new(state);
        let inner = Inner {
            layout: layout.clone(),
            state,
            counters: Mutex::new(None),
            restraint: Mutex::new(None),
            orders,
            reset: AtomicBool::new(false),
            held: Mutex::new(Vec::new()),
        };
        (Self(Arc::new(inner)), inbox)
    }

    /// Keeps executed stop orders until [`Self::close`] answers them.
    pub(crate) fn hold_until_closed(&self, commands: impl IntoIterator<Item = StopCommand>) {
        lock(&self.0.held).extend(commands);
    }

    /// Returns whether a client has asked to reset the start limit since the last call.
    pub(crate) fn take_reset_request(&self) -> bool {
        self.0.reset.swap(false, Ordering::Relaxed)
    }

    /// Answers the stop orders: supervision has ended.
    pub(crate) fn close(&self) {
        lock(&self.0.held).clear();
    }

    /// Changes the state and writes it to the state file.
    pub(crate) fn update(&self, change: impl FnOnce(&mut SupervisedState)) {
        self.0.state.send_modify(change);
        // Without the file a later `status` shows less; the ledger is complete.
        let _ = self.0.state.borrow().write(&self.0.layout);
    }

    /// Changes the state without writing the file, for values that matter only while it runs.
    pub(crate) fn update_live(&self, change: impl FnOnce(&mut SupervisedState)) {
        self.0.state.send_modify(change);
    }

    /// Sets the guard of the current attempt, whose counters are read and which is restrained.
    pub(crate) fn set_guard(&self, guard: Option<&ResourceGuard>) {
        *lock(&self.0.counters) = guard.map(ResourceGuard::shared_counters);
        *lock(&self.0.restraint) = guard.and_then(ResourceGuard::restraint_handle);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<SupervisedState> {
        self.0.state.subscribe()
    }

    /// Returns the current state.
    pub(crate) fn state(&self) -> SupervisedState {
        let mut state = self.0.state.borrow().clone();
        if let Some(counters) = lock(&self.0.counters).clone() {
            let counters = lock(&counters);
            state.frozen = counters.frozen;
            state.usage = Some(counters.resources.clone().into());
        }
        state
    }

    /// Resets the start limit. Returns whether there were restarts or a failure to forget.
    pub(crate) fn reset_failed(&self) -> bool {
        self.0.reset.store(true, Ordering::Relaxed);
        let changed = {
            let state = self.0.state.borrow();
            state.restarts > 0 || state.active == ActiveState::Failed
        };
        self.update(|state| {
            state.restarts = 0;
            // Supervision may be just about to end.
            if state.active == ActiveState::Failed {
                (state.active, state.sub) = (ActiveState::Inactive, SubState::Dead);
                state.result = None;
            }
        });
        changed
    }

    /// Freezes, thaws or throttles the current attempt.
    pub(crate) async fn restrain(&self, request: RestraintRequest) -> RestraintOutcome {
        let handle = lock(&self.0.restraint).clone();
        match handle {
            Some(handle) => handle.restrain(request).await,
            None if self.0.state.borrow().is_down() => RestraintOutcome::Unchanged,
            None => RestraintOutcome::NotUp,
        }
    }

    /// Stops the experiment and returns when it is down. Returns `false` if it was down before.
    pub(crate) async fn stop(&self, order: Order) -> bool {
        if self.0.state.borrow().is_down() {
            return false;
        }
        let (done, finished) = oneshot::channel();
        // A closed queue means that supervision has ended already.
        if self.0.orders.send(StopCommand { order, _done: done }).is_ok() {
            // No value is sent: the sender is dropped when supervision ends.
            let _ = finished.await;
        }
        true
    }
}
