//! What does not work at the moment.

use bij_core::{TimeSpan, Timestamp, error_chain};

use crate::Now;
use crate::policy::Unreachable;

/// How soon what has failed is tried again: a bus or a disk that comes back is noticed at once by
/// people's measure, and one that does not costs next to nothing.
const AGAIN: TimeSpan = TimeSpan::from_secs(2);

/// What does not work at the moment, and when it is tried again.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    bus: Option<Trouble>,
    store: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    text: String,
    since: Timestamp,
    again: TimeSpan,
}

/// Where a trouble comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    Bus,
    Store,
}

impl Troubles {
    /// Something has failed.
    pub(super) fn met(&mut self, with: With, error: &dyn std::error::Error, now: Now) {
        let again = now.uptime.as_micros().saturating_add(AGAIN.as_micros());
        let again = TimeSpan::from_micros(again);
        let slot = self.slot(with);
        let since = slot.as_ref().map_or(now.at, |trouble| trouble.since);
        *slot = Some(Trouble { text: error_chain(error), since, again });
    }

    /// It works.
    pub(super) fn gone(&mut self, with: With) {
        *self.slot(with) = None;
    }

    /// Whether it has failed and is not to be tried yet.
    pub(super) fn waits(&self, with: With, uptime: TimeSpan) -> bool {
        let trouble = match with {
            With::Bus => &self.bus,
            With::Store => &self.store,
        };
        trouble.as_ref().is_some_and(|trouble| uptime < trouble.again)
    }

    /// The trouble with the service manager, as a decision is told of it.
    pub(super) fn unreachable(&self) -> Option<Unreachable> {
        let Trouble { text, since, again: _ } = self.bus.as_ref()?;
        Some(Unreachable { since: *since, why: text.clone() })
    }

    /// The uptime at which the next of them is tried again.
    pub(super) fn next_try(&self) -> Option<TimeSpan> {
        [&self.bus, &self.store].into_iter().flatten().map(|trouble| trouble.again).min()
    }

    /// The uptime at which all of them have been tried again.
    pub(super) fn last_try(&self) -> Option<TimeSpan> {
        [&self.bus, &self.store].into_iter().flatten().map(|trouble| trouble.again).max()
    }

    /// As sentences without full stops.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        [&self.bus, &self.store].into_iter().flatten().map(|trouble| trouble.text.clone())
    }

    fn slot(&mut self, with: With) -> &mut Option<Trouble> {
        match with {
            With::Bus => &mut self.bus,
            With::Store => &mut self.store,
        }
    }
}
