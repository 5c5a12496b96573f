//! The signal that there are new events.

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::proxy::ChangedStream;

/// A stream of the number of the newest event. One signal may stand for several events, so query all events after the
/// last known one.
///
/// A task reads the signals as they arrive, because unread signals would fill the queue of the connection and block the
/// answers behind them.
#[derive(Debug)]
pub struct Changes {
    newest: watch::Receiver<u64>,
    /// The task that reads signals, which ends when this is dropped.
    _reader: JoinSet<()>,
}

impl Changes {
    /// Spawns the task that reads signals; needs a tokio runtime.
    pub(super) fn new(mut stream: ChangedStream) -> Self {
        let (sender, newest) = watch::channel(0);
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            while let Some(signal) = stream.next().await {
                // A signal with other arguments is from another version.
                if let Ok(arguments) = signal.args() {
                    sender.send_replace(arguments.seq);
                }
            }
        });
        Self { newest, _reader: reader }
    }

    /// Waits for the next change and returns the number of the newest event; `None` if the connection is lost.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<u64> {
        self.newest.changed().await.ok()?;
        Some(*self.newest.borrow_and_update())
    }
}
