//! The signal that something has changed.

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::proxy::ChangedStream;

/// The number of the newest event, as it grows. One change can stand for several events: ask for all
/// events after the last one that is known.
///
/// Signals are read by a task as they arrive. Signals that stay unread would fill the queue of the
/// connection and hold up the answers behind them.
#[derive(Debug)]
pub struct Changes {
    newest: watch::Receiver<u64>,
    /// Ends when this is dropped.
    _reader: JoinSet<()>,
}

impl Changes {
    /// Begins to read; needs a runtime of tokio.
    pub(super) fn new(mut stream: ChangedStream) -> Self {
        let (sender, newest) = watch::channel(0);
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            while let Some(signal) = stream.next().await {
                // A signal of another shape is none of ours.
                if let Ok(arguments) = signal.args() {
                    sender.send_replace(arguments.seq);
                }
            }
        });
        Self { newest, _reader: reader }
    }

    /// Waits for the next change and returns the newest number; `None` if the connection is lost.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<u64> {
        self.newest.changed().await.ok()?;
        Some(*self.newest.borrow_and_update())
    }
}
