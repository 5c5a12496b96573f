//! Jobs of the model: who has asked for a start or a stop waits for its end.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bij_core::Outcome;
use bij_core::port::Started;

use super::World;

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Started(Started),
    Stopped(Outcome),
    /// It ended with this result.
    Failed(&'static str),
    /// The bus was lost before its end was told.
    Lost,
}

/// The number of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// The jobs for whose end somebody waits.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    last: u64,
    awaited: BTreeMap<JobId, Awaited>,
}

#[derive(Debug, Default)]
struct Awaited {
    done: Option<Done>,
    waker: Option<Waker>,
}

impl Jobs {
    pub(super) fn new_job(&mut self) -> JobId {
        self.last += 1;
        let job = JobId(self.last);
        self.awaited.insert(job, Awaited::default());
        job
    }

    /// A job has ended; the first word on it counts.
    pub(super) fn end(&mut self, job: JobId, done: Done) {
        let Some(awaited) = self.awaited.get_mut(&job) else { return };
        awaited.done.get_or_insert(done);
        if let Some(waker) = awaited.waker.take() {
            waker.wake();
        }
    }

    /// Nobody will hear of those that are under way.
    pub(super) fn lose_all(&mut self) {
        let all: Vec<JobId> = self.awaited.keys().copied().collect();
        for job in all {
            self.end(job, Done::Lost);
        }
    }
}

/// Waits for the end of a job. Dropped, it leaves the job alone.
pub(super) struct JobEnd {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) job: JobId,
}

impl Future for JobEnd {
    type Output = Done;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(awaited) = world.jobs.awaited.get_mut(&self.job) else {
            return Poll::Ready(Done::Lost);
        };
        if let Some(done) = awaited.done {
            return Poll::Ready(done);
        }
        awaited.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for JobEnd {
    fn drop(&mut self) {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.jobs.awaited.remove(&self.job);
    }
}
