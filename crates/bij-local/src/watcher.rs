//! The memory limit where no cgroup holds it: samples, and a kill by our own hand.
//!
//! A watcher is no limit. Between two samples a process may use more than it is allowed, and the
//! true peak may lie above the largest sample; evidence says so ([`NOTE`], `PeakSource::Sampled`).
//! What it can do is look more often the nearer the limit is, and never let a process keep more.

use std::time::{Duration, Instant};

use bij_core::Bytes;

use crate::group::{Look, proportional};

/// What evidence says where the watcher stands in for a cgroup.
pub(crate) const NOTE: &str = "memory was held by a watcher that samples, not by the kernel: \
     peaks between two samples are not seen";

/// How often to look while memory is far from the limit, near it, and very near.
const FAR: Duration = Duration::from_millis(100);
const NEAR: Duration = Duration::from_millis(25);
const VERY_NEAR: Duration = Duration::from_millis(10);

/// Looking may take this part of one processor at most, unless that would be less often than
/// [`FAR`]: walking the page tables of many gigabytes is not free.
const COST_SHARE: u32 = 20;

/// One attempt's memory under watch.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    limit: u64,
    peak: u64,
}

/// What a sample says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Look again after so long.
    Within(Duration),
    /// It uses more than it may.
    Over,
}

impl Watcher {
    pub(crate) fn new(limit: Bytes) -> Self {
        Self { limit: limit.get(), peak: 0 }
    }

    /// Judges a look that began at `began`; `now` reads the clock when the judging is done.
    pub(crate) fn judge(
        &mut self,
        look: &Look,
        began: Instant,
        now: impl FnOnce() -> Instant,
    ) -> Verdict {
        // Shared pages make a sum of resident memory too large; only then is the dear figure read.
        let shared = look.alive.len() > 1 && look.resident > self.limit / 2;
        let fair = if shared { proportional(&look.alive) } else { None };
        let used = fair.unwrap_or(look.resident);
        self.peak = self.peak.max(used);
        if used > self.limit {
            return Verdict::Over;
        }
        let cost = now().saturating_duration_since(began);
        Verdict::Within(self.pace(used, cost))
    }

    /// The largest sample, in bytes.
    pub(crate) fn peak(&self) -> Bytes {
        Bytes::new(self.peak)
    }

    fn pace(&self, used: u64, cost: Duration) -> Duration {
        let pace = if used > self.limit / 4 * 3 {
            VERY_NEAR
        } else if used > self.limit / 2 {
            NEAR
        } else {
            FAR
        };
        pace.max((cost * COST_SHARE).min(FAR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(watcher: &mut Watcher, resident: u64, cost: Duration) -> Verdict {
        let began = Instant::now();
        let look = Look { alive: vec![1], resident, cpu_ticks: 0 };
        watcher.judge(&look, began, || began + cost)
    }

    #[test]
    fn it_looks_more_often_the_nearer_the_limit_is() {
        let mut watcher = Watcher::new(Bytes::new(1000));
        for (resident, expected) in [
            (400, Verdict::Within(FAR)),
            (600, Verdict::Within(NEAR)),
            (1000, Verdict::Within(VERY_NEAR)),
            (1001, Verdict::Over),
            (10, Verdict::Within(FAR)),
        ] {
            assert_eq!(judged(&mut watcher, resident, Duration::ZERO), expected, "{resident}");
        }
        assert_eq!(watcher.peak(), Bytes::new(1001));
    }

    #[test]
    fn dear_looks_become_rarer_but_never_rarer_than_far() {
        let mut watcher = Watcher::new(Bytes::new(1000));
        let cost = Duration::from_millis(2);
        let rarer = Verdict::Within(Duration::from_millis(40));
        assert_eq!(judged(&mut watcher, 900, cost), rarer);
        assert_eq!(judged(&mut watcher, 900, Duration::from_secs(1)), Verdict::Within(FAR));
    }
}
