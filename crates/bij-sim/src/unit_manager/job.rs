//! Jobs of the model, for whose end callers wait.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bij_core::Outcome;
use bij_core::port::Started;

use super::SimUnitsState;

/// The result of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobResult {
    Started(Started),
    Stopped(Outcome),
    /// It failed with this result.
    Failed(&'static str),
    /// The bus was lost before its end was reported.
    Lost,
}

/// The number of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// The jobs for whose end callers wait.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    last: u64,
    awaited: BTreeMap<JobId, Awaited>,
}

#[derive(Debug, Default)]
struct Awaited {
    result: Option<JobResult>,
    waker: Option<Waker>,
}

impl Jobs {
    pub(super) fn new_job(&mut self) -> JobId {
        self.last += 1;
        let job = JobId(self.last);
        self.awaited.insert(job, Awaited::default());
        job
    }

    /// Records the end of a job; the first result counts.
    pub(super) fn end(&mut self, job: JobId, result: JobResult) {
        let Some(awaited) = self.awaited.get_mut(&job) else { return };
        awaited.result.get_or_insert(result);
        if let Some(waker) = awaited.waker.take() {
            waker.wake();
        }
    }

    /// Ends all running jobs as [`JobResult::Lost`].
    pub(super) fn lose_all(&mut self) {
        let all: Vec<JobId> = self.awaited.keys().copied().collect();
        for job in all {
            self.end(job, JobResult::Lost);
        }
    }
}

/// Waits for the end of a job. Dropping it does not cancel the job.
pub(super) struct JobEnd {
    pub(super) state: Arc<Mutex<SimUnitsState>>,
    pub(super) job: JobId,
}

impl Future for JobEnd {
    type Output = JobResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<JobResult> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(awaited) = state.jobs.awaited.get_mut(&self.job) else {
            return Poll::Ready(JobResult::Lost);
        };
        if let Some(result) = awaited.result {
            return Poll::Ready(result);
        }
        awaited.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for JobEnd {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.jobs.awaited.remove(&self.job);
    }
}
