//! The signal that something has changed.

use futures_util::StreamExt as _;

use crate::proxy::ChangedStream;

/// The numbers of the newest events, as they come. A signal can stand for several events: whoever
/// hears one asks for all after the last that it knows.
#[derive(Debug)]
pub struct Changes(ChangedStream);

impl Changes {
    pub(super) const fn new(stream: ChangedStream) -> Self {
        Self(stream)
    }

    /// Waits for the next one; `None` if the connection is lost. Cancel-safe.
    pub async fn next(&mut self) -> Option<u64> {
        loop {
            let signal = self.0.next().await?;
            // A signal of another shape is none of ours.
            if let Ok(arguments) = signal.args() {
                return Some(arguments.seq);
            }
        }
    }
}
