//! The runs that are not over.

use std::borrow::Cow;
use std::io::{self, Write};

use bij_core::queue::GroupName;
use bij_core::request::{EntryState, QueueEntry};
use serde::Serialize;

use super::escape::visible;
use super::table::{Cell, Column, Table};
use super::{Format, Tone, View, gate, time};

/// Runs in starting order: `bij queue`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct QueueList(pub(crate) Vec<QueueEntry>);

impl QueueList {
    /// Returns the counts by state: `3 runs: 1 running, 2 waiting.`
    pub(crate) fn summary(&self) -> String {
        let noun = if self.0.len() == 1 { "run" } else { "runs" };
        let states =
            [EntryState::Running, EntryState::Starting, EntryState::Waiting, EntryState::Held];
        let counts = states.into_iter().filter_map(|state| {
            let count = self.0.iter().filter(|entry| entry.state == state).count();
            (count > 0).then(|| format!("{count} {}", state.as_str()))
        });
        let counts: Vec<String> = counts.collect();
        match counts.as_slice() {
            [] => "No runs in the queue.".to_owned(),
            counts => format!("{} {noun}: {}.", self.0.len(), counts.join(", ")),
        }
    }
}

impl View for QueueList {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            Column::left("RUN"),
            Column::left("STATE"),
            Column::right("PRIORITY").dispensable(2),
            Column::left("GROUP").dispensable(4),
            Column::right("MEMORY").dispensable(3),
            Column::right("AGE").dispensable(1),
            Column::left("BY").dispensable(5),
            Column::left("REASON").flexible(),
        ]);
        self.0.iter().for_each(|entry| table.row(cells(entry, format)));
        table.write(out, format)
    }
}

fn cells<'a>(entry: &'a QueueEntry, format: &Format) -> [Cell<'a>; 8] {
    let age = entry.submitted.and_then(|at| format.now.since(at));
    let group = Some(&entry.group).filter(|group| **group != GroupName::default());
    [
        entry.id().to_string().into(),
        state(entry),
        entry.priority.to_string().into(),
        group.map_or("", GroupName::as_str).into(),
        entry.memory.map_or_else(String::new, |memory| memory.to_string()).into(),
        age.map_or_else(String::new, time::rough).into(),
        visible(entry.by.as_deref().unwrap_or_default()).into(),
        reason(entry).into(),
    ]
}

/// Returns the state, or the health of a run that is up and not healthy.
fn state(entry: &QueueEntry) -> Cell<'_> {
    match entry.health.as_deref() {
        Some(health) if entry.health_reason.is_some() => Cell::new(Tone::Busy, visible(health)),
        Some(_) | None => Cell::new(tone(entry.state), entry.state.as_str()),
    }
}

/// Returns why a run waits, will end, or is not healthy.
fn reason(entry: &QueueEntry) -> Cow<'_, str> {
    match (&entry.stop_requested_by, &entry.health_reason) {
        (Some(by), _) => format!("stop requested by {}", visible(by)).into(),
        (None, Some(reason)) => visible(reason),
        (None, None) => gate::first(&entry.waiting_on),
    }
}

/// Returns the tone of a state.
pub(super) fn tone(state: EntryState) -> Tone {
    match state {
        EntryState::Running => Tone::Good,
        EntryState::Starting | EntryState::Held => Tone::Busy,
        EntryState::Waiting | EntryState::Ended => Tone::Plain,
    }
}

#[cfg(test)]
pub(crate) mod tests;
