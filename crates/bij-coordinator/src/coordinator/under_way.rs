//! Starts and stops that are under way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Finished;

/// Starts and stops that are under way, and those of which nobody has been told yet that they are not.
#[derive(Default)]
pub(super) struct UnderWay {
    going: FuturesUnordered<BoxFuture<'static, Finished>>,
    finished: VecDeque<Finished>,
}

impl UnderWay {
    pub(super) fn push(&mut self, order: BoxFuture<'static, Finished>) {
        self.going.push(order);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.going.is_empty() && self.finished.is_empty()
    }

    /// Has each ask for what it wants, without waiting for any.
    pub(super) async fn set_off(&mut self) {
        poll_fn(|context| {
            while let Poll::Ready(Some(finished)) = self.going.poll_next_unpin(context) {
                self.finished.push_back(finished);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Waits for the next that is finished; `None` if none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Finished> {
        match self.finished.pop_front() {
            Some(finished) => Some(finished),
            None => self.going.next().await,
        }
    }
}
