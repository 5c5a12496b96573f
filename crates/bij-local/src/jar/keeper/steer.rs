//! Holds an attempt's processes back: the kernel's freezer and bandwidth control where a cgroup has
//! them, else SIGSTOP, which the processes' parents may notice.

use std::time::Duration;

use bij_core::{CpuQuota, Limit, Percent};
use nix::sys::signal::Signal;

use super::super::{Steer, Steered};
use super::{KILL_ROUNDS, Keeper};
use crate::kill_signal::KillSignal;

/// How it is held back now.
#[derive(Debug, Default)]
pub(super) struct Steering {
    frozen: Option<By>,
    cap: Option<Percent>,
}

/// By what it is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Freezer,
    Signal,
}

impl Steering {
    pub(super) const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }
}

impl Keeper {
    pub(super) fn steer(&mut self, steer: Steer) -> Steered {
        match steer {
            _ if self.main_ended => Steered::NotUp,
            Steer::Frozen(frozen) if frozen == self.steering.is_frozen() => Steered::Unchanged,
            Steer::Frozen(true) => self.freeze(),
            Steer::Frozen(false) => {
                self.thaw();
                Steered::Changed
            }
            Steer::CpuCap(cap) if cap == self.steering.cap => Steered::Unchanged,
            Steer::CpuCap(cap) => self.cap(cap),
        }
    }

    fn freeze(&mut self) -> Steered {
        let by_freezer = self.jar.cgroup.as_ref().map_or(Ok(false), |jar| jar.set_frozen(true));
        match by_freezer {
            Ok(true) => self.steering.frozen = Some(By::Freezer),
            Ok(false) => {
                self.halt();
                self.steering.frozen = Some(By::Signal);
            }
            Err(error) => return Steered::Refused(error.to_string()),
        }
        Steered::Changed
    }

    /// Lets everybody go on; one that is not frozen does anyway.
    pub(super) fn thaw(&mut self) {
        match self.steering.frozen.take() {
            Some(By::Freezer) => {
                // What cannot be thawed can still be killed.
                let _ = self.jar.cgroup.as_ref().map(|jar| jar.set_frozen(false));
            }
            Some(By::Signal) => {
                self.signal(KillSignal::Standard(Signal::SIGCONT));
            }
            None => {}
        }
    }

    /// Stops one after the other until nobody is new: whoever is not stopped yet may fork.
    fn halt(&mut self) {
        let mut before = Vec::new();
        for _ in 0..KILL_ROUNDS {
            let now = self.everybody();
            KillSignal::Standard(Signal::SIGSTOP).send(&now);
            if now == before {
                return;
            }
            before = now;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn cap(&mut self, cap: Option<Percent>) -> Steered {
        let Some(jar) = &self.jar.cgroup else { return Steered::Unsupported };
        if jar.set_cpu(bound(self.jar.cpu, cap)).is_err() {
            return Steered::Unsupported;
        }
        self.steering.cap = cap;
        Steered::Changed
    }
}

/// What is in force: the tighter of what the definition says and of what is asked for.
fn bound(own: Option<Limit<CpuQuota>>, cap: Option<Percent>) -> Limit<CpuQuota> {
    let own = own.and_then(Limit::at);
    own.into_iter().chain(cap.map(CpuQuota::at_most)).min().map_or(Limit::Max, Limit::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_bound_is_in_force() {
        let quota = |text: &str| Limit::At(text.parse::<CpuQuota>().unwrap());
        let half = Some(Percent::new(50));
        assert_eq!(bound(None, None), Limit::Max);
        assert_eq!(bound(Some(Limit::Max), half), quota("50%"));
        assert_eq!(bound(Some(quota("200%")), half), quota("50%"));
        assert_eq!(bound(Some(quota("20%")), half), quota("20%"));
        assert_eq!(bound(Some(quota("20%")), None), quota("20%"));
    }
}
