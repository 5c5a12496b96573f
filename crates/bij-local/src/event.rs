//! The events that a supervisor reports to the embedding program.

use std::sync::Arc;

use bij_core::{
    AttemptEnd, AttemptNumber, Cause, Exit, ExperimentId, InvocationId, RunId, TimeSpan, Timestamp,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::log_file::LogLine;

/// Lines of output queued for the embedding program before experiments that print have to wait.
const OUTPUT_QUEUE: usize = 1024;

/// An event of an experiment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// An attempt was opened and its process is being started.
    Started {
        /// Run of the attempt.
        run: RunId,
        /// Its number within the run.
        attempt: AttemptNumber,
        /// Pid of the main process.
        pid: u32,
        /// Invocation id of the attempt.
        invocation: InvocationId,
        /// Limits that have no effect on this machine, a sentence each.
        notes: Vec<String>,
    },
    /// The attempt is up: executed, or with `Type=notify` it sent `READY=1`.
    Ready {
        /// Run of the attempt.
        run: RunId,
        /// Its number within the run.
        attempt: AttemptNumber,
    },
    /// The experiment printed a line, or the supervisor wrote one into its log.
    Output(LogLine),
    /// The experiment sent `STATUS=`. Left out while the queue of output is full.
    Status {
        /// Run of the attempt.
        run: RunId,
        /// The text of the status.
        text: String,
    },
    /// The attempt has ended.
    Died {
        /// Run of the attempt.
        run: RunId,
        /// Its number within the run.
        attempt: AttemptNumber,
        /// Its end, with cause and evidence.
        end: Box<AttemptEnd>,
        /// Why the end could not be recorded in the ledger; `None` if it was.
        unrecorded: Option<String>,
    },
    /// The experiment will be restarted.
    Waiting {
        /// The run that continues.
        run: RunId,
        /// `RestartSec=` of the definition.
        delay: TimeSpan,
        /// When the next attempt starts.
        until: Timestamp,
    },
    /// The start limit is reached.
    GaveUp {
        /// The experiment that is not restarted.
        id: ExperimentId,
        /// `StartLimitBurst=` of the definition.
        starts: u32,
    },
    /// Supervision has ended; the last event of the experiment.
    Ended {
        /// The experiment that was supervised.
        id: ExperimentId,
        /// How supervision ended.
        ending: SupervisionEnd,
    },
}

/// How supervision of an experiment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupervisionEnd {
    /// The last attempt was a success.
    Success,
    /// A stop was ordered.
    Stopped {
        /// Cause of the last attempt's end; `None` if it was stopped between two attempts.
        cause: Option<Cause>,
    },
    /// The last attempt ended in a way that is not restarted: exit code 78, or a signal that systemd
    /// considers clean.
    NotRestarted {
        /// Cause of the last attempt's end.
        cause: Cause,
        /// Exit of its main process.
        exit: Option<Exit>,
    },
    /// The start limit is reached.
    GaveUp {
        /// Cause of the last attempt's end.
        cause: Cause,
        /// Exit of its main process.
        exit: Option<Exit>,
    },
    /// No attempt could be opened: no usable definition, or no ledger.
    NotStarted {
        /// The error and its sources.
        reason: String,
    },
}

/// Queue of events, in the order in which they happened. It ends when every experiment has ended.
///
/// Read it promptly: a full queue delays the experiments that print, but never the supervisor.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::UnboundedReceiver<QueuedEvent>,
}

#[derive(Debug)]
struct QueuedEvent {
    event: SupervisorEvent,
    /// Makes room for the next line of output when it is dropped.
    _slot: Option<OwnedSemaphorePermit>,
}

impl Events {
    /// Returns the next event; `None` after the last. Cancel-safe: a queue is read.
    pub async fn next(&mut self) -> Option<SupervisorEvent> {
        self.queue.recv().await.map(|queued| queued.event)
    }
}

/// A flag that is raised once and stays raised.
#[derive(Clone, Debug)]
pub(crate) struct CancellationFlag(Arc<watch::Sender<bool>>);

impl CancellationFlag {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn raise(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the flag is raised.
    pub(crate) async fn raised(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|raised| *raised).await;
    }
}

/// Sender of events.
///
/// One queue keeps their order. It is unbounded, because the supervisor must never wait for its
/// reader; output, which could fill it, needs a permit of `output_slots`.
#[derive(Clone, Debug)]
pub(crate) struct EventSink {
    queue: mpsc::UnboundedSender<QueuedEvent>,
    output_slots: Arc<Semaphore>,
}

impl EventSink {
    pub(crate) fn new() -> (Self, Events) {
        let (sender, queue) = mpsc::unbounded_channel();
        let output_slots = Arc::new(Semaphore::new(OUTPUT_QUEUE));
        (Self { queue: sender, output_slots }, Events { queue })
    }

    /// Returns a sink whose events are discarded.
    pub(crate) fn discarding() -> Self {
        Self::new().0
    }

    pub(crate) fn send(&self, event: SupervisorEvent) {
        // The reader may be gone.
        let _ = self.queue.send(QueuedEvent { event, _slot: None });
    }

    /// Sends an event that its successor makes stale, if there is room.
    pub(crate) fn send_if_room(&self, event: SupervisorEvent) {
        if let Ok(slot) = Arc::clone(&self.output_slots).try_acquire_owned() {
            let _ = self.queue.send(QueuedEvent { event, _slot: Some(slot) });
        }
    }

    /// Sends a line as soon as there is room, or `over` is raised: after the end of an attempt little
    /// is left in the pipe, and it must not delay the next attempt.
    pub(crate) async fn send_output(&self, line: LogLine, over: &CancellationFlag) {
        if self.queue.is_closed() {
            return;
        }
        let slot = tokio::select! {
            biased;
            slot = Arc::clone(&self.output_slots).acquire_owned() => slot.ok(),
            () = self.queue.closed() => return,
            () = over.raised() => None,
        };
        let _ = self.queue.send(QueuedEvent { event: SupervisorEvent::Output(line), _slot: slot });
    }
}
