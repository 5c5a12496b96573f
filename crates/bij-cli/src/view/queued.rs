//! The run of an experiment that waits in the queue.

use std::borrow::Cow;
use std::sync::Arc;

use bij_api::message::{Entry, State, Waiting};
use bij_core::RunId;
use serde::Serialize;

use super::gate;

/// What `bij status`, `list` and `show` tell of a run that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Queued {
    pub(crate) run: u32,
    pub(crate) state: State,
    pub(crate) waiting_on: Arc<[Waiting]>,
    /// For people: its whole name.
    #[serde(skip)]
    pub(crate) id: RunId,
}

impl From<Entry> for Queued {
    fn from(entry: Entry) -> Self {
        let id = entry.id();
        Self { run: entry.run.0, state: entry.state, waiting_on: entry.waiting_on, id }
    }
}

impl Queued {
    /// Its first gate, and how many there are besides.
    pub(crate) fn reason(&self) -> Cow<'_, str> {
        gate::first(&self.waiting_on)
    }

    /// `x#3, waiting: 4 of 4 slots are taken (+1)`.
    pub(crate) fn sentence(&self) -> String {
        let reason = self.reason();
        let colon = if reason.is_empty() { "" } else { ": " };
        format!("{}, {}{colon}{reason}", self.id, self.state.as_str())
    }
}
