//! Failures of the bus and the store, and when to retry.

use bij_core::{TimeSpan, Timestamp, Uptime, error_chain};

use crate::Now;
use crate::policy::Unreachable;

/// Delay before a retry: short enough that people do not notice, and long enough that failing costs next to
/// nothing.
const RETRY_DELAY: TimeSpan = TimeSpan::from_secs(2);

/// Current failures, and when each is retried.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    bus: Option<Trouble>,
    store: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    text: String,
    since: Timestamp,
    retry_at: Uptime,
}

/// Port that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleSource {
    Bus,
    Store,
}

impl Troubles {
    /// Records a failure.
    pub(super) fn record(
        &mut self,
        source: TroubleSource,
        error: &dyn std::error::Error,
        now: Now,
    ) {
        let retry_at = now.uptime + RETRY_DELAY;
        let slot = self.slot(source);
        let since = slot.as_ref().map_or(now.at, |trouble| trouble.since);
        *slot = Some(Trouble { text: error_chain(error), since, retry_at });
    }

    /// Notes that the port works again.
    pub(super) fn clear(&mut self, source: TroubleSource) {
        *self.slot(source) = None;
    }

    /// Returns whether the port has failed and is not to be retried yet.
    pub(super) fn is_waiting(&self, source: TroubleSource, uptime: Uptime) -> bool {
        let trouble = match source {
            TroubleSource::Bus => &self.bus,
            TroubleSource::Store => &self.store,
        };
        trouble.as_ref().is_some_and(|trouble| uptime < trouble.retry_at)
    }

    /// Returns the failure of the service manager, as the observation holds it.
    pub(super) fn unreachable(&self) -> Option<Unreachable> {
        let Trouble { text, since, retry_at: _ } = self.bus.as_ref()?;
        Some(Unreachable { since: *since, why: text.clone() })
    }

    /// Returns the uptime of the next retry.
    pub(super) fn next_try(&self) -> Option<Uptime> {
        [&self.bus, &self.store].into_iter().flatten().map(|trouble| trouble.retry_at).min()
    }

    /// Returns the uptime at which all failures have been retried.
    pub(super) fn last_try(&self) -> Option<Uptime> {
        [&self.bus, &self.store].into_iter().flatten().map(|trouble| trouble.retry_at).max()
    }

    /// Returns the failures as sentences without full stops.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        [&self.bus, &self.store].into_iter().flatten().map(|trouble| trouble.text.clone())
    }

    fn slot(&mut self, source: TroubleSource) -> &mut Option<Trouble> {
        match source {
            TroubleSource::Bus => &mut self.bus,
            TroubleSource::Store => &mut self.store,
        }
    }
}
