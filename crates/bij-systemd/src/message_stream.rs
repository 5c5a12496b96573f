//! Streams of bus messages: the next one of a stream, or of several.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream as _;
use zbus::{Message, MessageStream};

/// Returns the next message; `None` if the connection is lost. Cancel-safe.
pub(crate) async fn next_message(stream: &mut MessageStream) -> Option<Message> {
    // An error is the last item of a stream.
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await?.ok()
}

/// Several streams of one connection as one. Messages of different streams are in no order.
#[derive(Debug)]
pub(crate) struct MergedStreams {
    streams: Vec<MessageStream>,
    /// The stream that is polled first, so that none of them is starved.
    first: usize,
}

impl MergedStreams {
    pub(crate) const fn new(streams: Vec<MessageStream>) -> Self {
        Self { streams, first: 0 }
    }

    /// Returns the next message of any stream; `None` if the connection is lost. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        for turn in 0..self.streams.len() {
            let at = (self.first + turn) % self.streams.len();
            if let Poll::Ready(message) = Pin::new(&mut self.streams[at]).poll_next(context) {
                self.first = at + 1;
                return Poll::Ready(message.and_then(Result::ok));
            }
        }
        Poll::Pending
    }
}
