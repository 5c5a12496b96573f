//! Starts and stops that are under way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Finished;

/// Starts and stops that are under way, and finished ones whose result has not been taken yet.
#[derive(Default)]
pub(super) struct UnderWay {
    pending: FuturesUnordered<BoxFuture<'static, Finished>>,
    finished: VecDeque<Finished>,
}

impl UnderWay {
    pub(super) fn push(&mut self, order: BoxFuture<'static, Finished>) {
        self.pending.push(order);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.finished.is_empty()
    }

    /// Polls each operation once, so that its request is sent, without waiting for any.
    pub(super) async fn poll_all(&mut self) {
        poll_fn(|context| {
            while let Poll::Ready(Some(finished)) = self.pending.poll_next_unpin(context) {
                self.finished.push_back(finished);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Waits for the next finished operation; `None` if none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Finished> {
        match self.finished.pop_front() {
            Some(finished) => Some(finished),
            None => self.pending.next().await,
        }
    }
}
