//! Freezes and throttles the processes of an attempt, at the request of other threads: with the kernel's freezer and
//! bandwidth control where a cgroup has them, else with SIGSTOP, which the processes' parents may notice.

use std::sync::mpsc;
use std::time::Duration;

use bij_core::{CpuQuota, Limit, Percent};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::super::GuardRequest;
use super::{GuardThread, MAX_ROUNDS};
use crate::kill_signal::KillSignal;

/// What is in force now.
#[derive(Debug, Default)]
pub(super) struct RestraintState {
    frozen: Option<FrozenBy>,
    cap: Option<Percent>,
}

/// The means by which the attempt is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrozenBy {
    Freezer,
    Signal,
}

impl RestraintState {
    pub(super) const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }
}

impl GuardThread {
    pub(super) fn restrain(&mut self, request: RestraintRequest) -> RestraintOutcome {
        match request {
            _ if self.main_ended => RestraintOutcome::NotUp,
            RestraintRequest::Frozen(frozen) if frozen == self.restraint.is_frozen() => {
                RestraintOutcome::Unchanged
            }
            RestraintRequest::Frozen(true) => self.freeze(),
            RestraintRequest::Frozen(false) => {
                self.thaw();
                RestraintOutcome::Changed
            }
            RestraintRequest::CpuCap(cap) if cap == self.restraint.cap => {
                RestraintOutcome::Unchanged
            }
            RestraintRequest::CpuCap(cap) => self.cap(cap),
        }
    }

    fn freeze(&mut self) -> RestraintOutcome {
        let by_freezer =
            self.limits.cgroup.as_ref().map_or(Ok(false), |cgroup| cgroup.set_frozen(true));
        match by_freezer {
            Ok(true) => self.restraint.frozen = Some(FrozenBy::Freezer),
            Ok(false) => {
                self.stop_all();
                self.restraint.frozen = Some(FrozenBy::Signal);
            }
            Err(error) => return RestraintOutcome::Refused(error.to_string()),
        }
        RestraintOutcome::Changed
    }

    /// Thaws the processes, if they are frozen.
    pub(super) fn thaw(&mut self) {
        match self.restraint.frozen.take() {
            Some(FrozenBy::Freezer) => {
                // Processes that cannot be thawed can still be killed.
                let _ = self.limits.cgroup.as_ref().map(|cgroup| cgroup.set_frozen(false));
            }
            Some(FrozenBy::Signal) => {
                self.signal(KillSignal::Standard(Signal::SIGCONT));
            }
            None => {}
        }
    }

    /// Sends SIGSTOP until no new process appears: a process that still runs may fork.
    fn stop_all(&mut self) {
        let mut before = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let now = self.living_processes();
            KillSignal::Standard(Signal::SIGSTOP).send(&now);
            if now == before {
                return;
            }
            before = now;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn cap(&mut self, cap: Option<Percent>) -> RestraintOutcome {
        let Some(cgroup) = &self.limits.cgroup else { return RestraintOutcome::Unsupported };
        if cgroup.set_cpu(effective_quota(self.limits.cpu, cap)).is_err() {
            return RestraintOutcome::Unsupported;
        }
        self.restraint.cap = cap;
        RestraintOutcome::Changed
    }
}

/// Returns the tighter of the definition's quota and the cap.
fn effective_quota(own: Option<Limit<CpuQuota>>, cap: Option<Percent>) -> Limit<CpuQuota> {
    let own = own.and_then(Limit::at);
    own.into_iter().chain(cap.map(CpuQuota::at_most)).min().map_or(Limit::Max, Limit::At)
}

/// A request to freeze or throttle an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RestraintRequest {
    /// Freezes the processes, or thaws them.
    Frozen(bool),
    /// Caps the processor time in addition to the definition's limit; `None` removes the cap.
    CpuCap(Option<Percent>),
}

/// The result of a [`RestraintRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RestraintOutcome {
    Changed,
    Unchanged,
    /// The attempt has no process now.
    NotUp,
    /// This machine cannot do it.
    Unsupported,
    /// The kernel refused it, for this reason.
    Refused(String),
}

/// Sends restraint requests to the guard thread of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct RestraintHandle(mpsc::Sender<GuardRequest>);

impl RestraintHandle {
    pub(in crate::resource_guard) fn new(requests: mpsc::Sender<GuardRequest>) -> Self {
        Self(requests)
    }

    /// Sends a request and returns its result.
    pub(crate) async fn restrain(&self, request: RestraintRequest) -> RestraintOutcome {
        let (reply, answer) = oneshot::channel();
        // A guard thread that has ended has left no process.
        let _ = self.0.send(GuardRequest::Restrain(request, reply));
        answer.await.unwrap_or(RestraintOutcome::NotUp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_quota_is_in_force() {
        let quota = |text: &str| Limit::At(text.parse::<CpuQuota>().unwrap());
        let half = Some(Percent::new(50));
        assert_eq!(effective_quota(None, None), Limit::Max);
        assert_eq!(effective_quota(Some(Limit::Max), half), quota("50%"));
        assert_eq!(effective_quota(Some(quota("200%")), half), quota("50%"));
        assert_eq!(effective_quota(Some(quota("20%")), half), quota("20%"));
        assert_eq!(effective_quota(Some(quota("20%")), None), quota("20%"));
    }
}
