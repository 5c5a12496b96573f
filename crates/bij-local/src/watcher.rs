//! The memory limit where no cgroup enforces it: samples memory and kills an attempt above its limit.
//!
//! Between two samples a process may use more than its limit, and the true peak may be above the
//! largest sample; the evidence says so ([`NOTE`], `PeakSource::Sampled`). The watcher samples more
//! often the nearer memory is to the limit.

use std::time::{Duration, Instant};

use bij_core::Bytes;

use crate::attempt_processes::{ProcessSample, proportional_memory};

/// Note in the evidence of an attempt without a memory cgroup.
pub(crate) const NOTE: &str = "the memory limit was enforced by a watcher that samples, not by \
     the kernel: peaks between two samples are not seen";

/// Interval of samples while memory is far from the limit, near it, and very near.
const FAR: Duration = Duration::from_millis(100);
const NEAR: Duration = Duration::from_millis(25);
const VERY_NEAR: Duration = Duration::from_millis(10);

/// Sampling uses up to 1/`COST_SHARE` of one processor, unless that would make it rarer than [`FAR`]:
/// walking the page tables of many gigabytes takes time.
const COST_SHARE: u32 = 20;

/// Watches the memory of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct MemoryWatcher {
    limit: u64,
    peak: u64,
}

/// The result of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryVerdict {
    /// Within the limit; sample again after this time.
    Within(Duration),
    /// Above the limit.
    Over,
}

impl MemoryWatcher {
    pub(crate) fn new(limit: Bytes) -> Self {
        Self { limit: limit.get(), peak: 0 }
    }

    /// Judges a sample whose scan began at `began`. `now` reads the clock afterwards, for the cost.
    pub(crate) fn judge(
        &mut self,
        sample: &ProcessSample,
        began: Instant,
        now: impl FnOnce() -> Instant,
    ) -> MemoryVerdict {
        // Shared pages make the sum of resident memory too large. The exact figure is expensive and
        // is read only where it can matter.
        let shared = sample.alive.len() > 1 && sample.resident > self.limit / 2;
        let fair = if shared { proportional_memory(&sample.alive) } else { None };
        let used = fair.unwrap_or(sample.resident);
        self.peak = self.peak.max(used);
        if used > self.limit {
            return MemoryVerdict::Over;
        }
        let cost = now().saturating_duration_since(began);
        MemoryVerdict::Within(self.pace(used, cost))
    }

    /// Returns the largest sample.
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

    fn judge(watcher: &mut MemoryWatcher, resident: u64, cost: Duration) -> MemoryVerdict {
        let began = Instant::now();
        let sample = ProcessSample { alive: vec![1], resident, cpu_ticks: 0 };
        watcher.judge(&sample, began, || began + cost)
    }

    #[test]
    fn the_watcher_samples_more_often_the_nearer_the_limit_is() {
        let mut watcher = MemoryWatcher::new(Bytes::new(1000));
        for (resident, expected) in [
            (400, MemoryVerdict::Within(FAR)),
            (600, MemoryVerdict::Within(NEAR)),
            (1000, MemoryVerdict::Within(VERY_NEAR)),
            (1001, MemoryVerdict::Over),
            (10, MemoryVerdict::Within(FAR)),
        ] {
            assert_eq!(judge(&mut watcher, resident, Duration::ZERO), expected, "{resident}");
        }
        assert_eq!(watcher.peak(), Bytes::new(1001));
    }

    #[test]
    fn expensive_samples_become_rarer_but_never_rarer_than_far() {
        let mut watcher = MemoryWatcher::new(Bytes::new(1000));
        let cost = Duration::from_millis(2);
        let rarer = MemoryVerdict::Within(Duration::from_millis(40));
        assert_eq!(judge(&mut watcher, 900, cost), rarer);
        assert_eq!(judge(&mut watcher, 900, Duration::from_secs(1)), MemoryVerdict::Within(FAR));
    }
}
