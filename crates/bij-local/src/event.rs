//! What a supervisor tells whoever embeds it.

use std::sync::Arc;

use bij_core::{
    AttemptEnd, AttemptNumber, Cause, Exit, ExperimentId, InvocationId, RunId, TimeSpan, Timestamp,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::log_line::LogLine;

/// Lines of output under way to the embedding program before those who print have to wait.
const OUTPUT_QUEUE: usize = 1024;

/// Something that happened to an experiment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An attempt was opened and its process is being started.
    Started {
        /// Its run.
        run: RunId,
        /// Its number within the run.
        attempt: AttemptNumber,
        /// The process.
        pid: u32,
        /// The attempt's id.
        invocation: InvocationId,
        /// What does not work here, one sentence each: limits without effect.
        notes: Vec<String>,
    },
    /// The attempt is up: executed, or with `Type=notify` it said `READY=1`.
    Ready {
        /// Its run.
        run: RunId,
        /// Its number within the run.
        attempt: AttemptNumber,
    },
    /// It printed a line, or the supervisor wrote one into its log.
    Output(LogLine),
    /// It said what it is doing: `STATUS=`. Left out when events are not taken as they come.
    Status {
        /// Its run.
        run: RunId,
        /// What it said.
        text: String,
    },
    /// The attempt has ended.
    Died {
        /// Its run.
        run: RunId,
        /// Its number within the run.
        attempt: AttemptNumber,
        /// How.
        end: Box<AttemptEnd>,
        /// Why the ledger could not take it, if so.
        unrecorded: Option<String>,
    },
    /// It is brought back after a while.
    Waiting {
        /// The run that goes on.
        run: RunId,
        /// `RestartSec=`.
        delay: TimeSpan,
        /// When the next attempt starts.
        until: Timestamp,
    },
    /// It has used up its starts.
    GaveUp {
        /// Whose.
        id: ExperimentId,
        /// `StartLimitBurst=`.
        starts: u32,
    },
    /// Nothing more happens to it.
    Ended {
        /// Whose.
        id: ExperimentId,
        /// How.
        ending: Ending,
    },
}

/// How supervision of an experiment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last attempt was a success.
    Success,
    /// Somebody stopped it.
    Stopped {
        /// Why its last attempt ended; absent if it was stopped between two.
        cause: Option<Cause>,
    },
    /// It ended in a way that is not restarted: exit code 78, or a signal that systemd takes for
    /// clean.
    NotRestarted {
        /// Why.
        cause: Cause,
        /// How its process ended.
        exit: Option<Exit>,
    },
    /// It used up its starts.
    GaveUp {
        /// Why its last attempt ended.
        cause: Cause,
        /// How its process ended.
        exit: Option<Exit>,
    },
    /// No attempt could be opened: no usable definition, or no ledger.
    NotStarted {
        /// What was wrong, with all that led to it.
        reason: String,
    },
}

/// What happens, in the order in which it happens; it ends when every experiment has ended.
///
/// Take events as they come. Who does not holds up the experiments that print, not the supervisor.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::UnboundedReceiver<Queued>,
}

#[derive(Debug)]
struct Queued {
    event: Event,
    /// Makes room for the next line of output when it is dropped.
    _room: Option<OwnedSemaphorePermit>,
}

impl Events {
    /// The next event; `None` when all is over. Cancel-safe: a queue is read.
    pub async fn next(&mut self) -> Option<Event> {
        self.queue.recv().await.map(|queued| queued.event)
    }
}

/// Is raised once and stays so.
#[derive(Clone, Debug)]
pub(crate) struct CancellationFlag(Arc<watch::Sender<bool>>);

impl CancellationFlag {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn raise(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is raised.
    pub(crate) async fn raised(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|raised| *raised).await;
    }
}

/// Where events go.
///
/// One queue for all keeps their order. It has no bound, for the supervisor must never wait for
/// whoever looks on; what could fill it, output, needs a place in `room`.
#[derive(Clone, Debug)]
pub(crate) struct EventSink {
    queue: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
}

impl EventSink {
    pub(crate) fn new() -> (Self, Events) {
        let (sender, queue) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(OUTPUT_QUEUE));
        (Self { queue: sender, room }, Events { queue })
    }

    /// Nobody looks on.
    pub(crate) fn nowhere() -> Self {
        Self::new().0
    }

    pub(crate) fn send(&self, event: Event) {
        // Whoever looked on may have gone.
        let _ = self.queue.send(Queued { event, _room: None });
    }

    /// Hands over something that the next of its kind makes stale, if there is room.
    pub(crate) fn offer(&self, event: Event) {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            let _ = self.queue.send(Queued { event, _room: Some(room) });
        }
    }

    /// Hands over a line when there is room for it, or when `over` has come: what the dead have
    /// left in a pipe is little, and nobody should wait for it.
    pub(crate) async fn output(&self, line: LogLine, over: &CancellationFlag) {
        if self.queue.is_closed() {
            return;
        }
        let room = tokio::select! {
            biased;
            room = Arc::clone(&self.room).acquire_owned() => room.ok(),
            () = self.queue.closed() => return,
            () = over.raised() => None,
        };
        let _ = self.queue.send(Queued { event: Event::Output(line), _room: room });
    }
}
