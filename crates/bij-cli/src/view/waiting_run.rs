//! The waiting run of an experiment, and the first of its closed gates.

use std::borrow::Cow;
use std::sync::Arc;

use bij_core::RunId;
use bij_core::request::{EntryState, QueueEntry, WaitReason};
use serde::Serialize;

use super::visible;

/// A waiting or held run, as `bij status`, `list` and `show` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct WaitingRun {
    pub(crate) run: u32,
    pub(crate) state: EntryState,
    pub(crate) waiting_on: Arc<[WaitReason]>,
    /// The name of the run, for the text.
    #[serde(skip)]
    pub(crate) id: RunId,
}

impl From<QueueEntry> for WaitingRun {
    fn from(entry: QueueEntry) -> Self {
        let id = entry.id();
        Self { run: entry.run.0, state: entry.state, waiting_on: entry.waiting_on, id }
    }
}

impl WaitingRun {
    /// Returns the text of its first gate, and the number of the others.
    pub(crate) fn reason(&self) -> Cow<'_, str> {
        first_gate(&self.waiting_on)
    }

    /// Returns its name, state and reason: `x#3, waiting: 4 of 4 slots are taken (+1)`.
    pub(crate) fn sentence(&self) -> String {
        let reason = self.reason();
        let colon = if reason.is_empty() { "" } else { ": " };
        format!("{}, {}{colon}{reason}", self.id, self.state.as_str())
    }
}

/// Returns the text of the first gate, and the number of the others: `4 of 4 slots are taken (+1)`.
pub(crate) fn first_gate(waiting_on: &[WaitReason]) -> Cow<'_, str> {
    match waiting_on {
        [] => "".into(),
        [one] => visible(&one.text),
        [one, more @ ..] => format!("{} (+{})", visible(&one.text), more.len()).into(),
    }
}
