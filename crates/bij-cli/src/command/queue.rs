//! `bij queue`: the runs that are not over.

use std::borrow::Cow;
use std::io::{self, Write};

use bij_core::queue::GroupName;
use bij_core::request::{CoordinatorStatus, EntryState, QueueEntry, QueueQuery};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use crate::args::IdArg;
use crate::complete;
use crate::context::Context;
use crate::error::CliError;
use crate::queue_source::QueueSource;
use crate::view::{Cell, Table, TableColumn, TextFormat, Tone, View, first_gate, time, visible};

/// The arguments of `bij queue`.
#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// Show the runs of this experiment only
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    id: Option<IdArg>,
    /// Show the runs of this group only
    #[arg(long, value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    group: Option<GroupName>,
    /// Show the runs in this state only: waiting, held, starting or running
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<EntryState>,
}

/// Parses the state of a run that is not over.
fn parse_state(word: &str) -> Result<EntryState, String> {
    let all = [EntryState::Waiting, EntryState::Held, EntryState::Starting, EntryState::Running];
    all.into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| "the states are waiting, held, starting and running".to_owned())
}

/// Lists the runs that are up, then the others in starting order.
pub(super) async fn queue(context: &Context, args: &QueueArgs) -> Result<(), CliError> {
    let query = QueueQuery {
        experiment: args.id.as_ref().map(|IdArg(id)| id.clone()),
        group: args.group.clone(),
        state: args.state,
        skip: 0,
    };
    let source = QueueSource::choose(context).await?;
    let list = QueueList(source.queue(&query).await?);
    let status = source.status().await?;
    context.terminal.show(&list)?;
    if !context.terminal.is_json() {
        let capacity = status.as_ref().map(|status| format!(" {}", capacity_line(status)));
        context.terminal.status(&format!("{}{}", list.summary(), capacity.unwrap_or_default()));
    }
    warn_about_coordinator(context, status.as_ref());
    Ok(())
}

/// Prints warnings about the coordinator that explain why no run starts.
pub(super) fn warn_about_coordinator(context: &Context, status: Option<&CoordinatorStatus>) {
    for warning in status.map(coordinator_warnings).unwrap_or_default() {
        context.terminal.warning(&warning);
    }
}

/// Runs in starting order: `bij queue`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct QueueList(pub(crate) Vec<QueueEntry>);

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
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            TableColumn::left("RUN"),
            TableColumn::left("STATE"),
            TableColumn::right("PRIORITY").dispensable(2),
            TableColumn::left("GROUP").dispensable(4),
            TableColumn::right("MEMORY").dispensable(3),
            TableColumn::right("AGE").dispensable(1),
            TableColumn::left("BY").dispensable(5),
            TableColumn::left("REASON").flexible(),
        ]);
        self.0.iter().for_each(|entry| table.row(cells(entry, format)));
        table.write(out, format)
    }
}

fn cells<'a>(entry: &'a QueueEntry, format: &TextFormat) -> [Cell<'a>; 8] {
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
        Some(_) | None => Cell::new(state_tone(entry.state), entry.state.as_str()),
    }
}

/// Returns why a run waits, will end, or is not healthy.
fn reason(entry: &QueueEntry) -> Cow<'_, str> {
    match (&entry.stop_requested_by, &entry.health_reason) {
        (Some(by), _) => format!("stop requested by {}", visible(by)).into(),
        (None, Some(reason)) => visible(reason),
        (None, None) => first_gate(&entry.waiting_on),
    }
}

/// Returns the tone of a state.
pub(super) fn state_tone(state: EntryState) -> Tone {
    match state {
        EntryState::Running => Tone::Good,
        EntryState::Starting | EntryState::Held => Tone::Busy,
        EntryState::Waiting | EntryState::Ended => Tone::Plain,
    }
}

/// Returns the slots and the memory in use: `1 of 4 slots taken, 8.0G of 24.0G of memory claimed.`
fn capacity_line(status: &CoordinatorStatus) -> String {
    let slots = match status.slots {
        Some(slots) => format!("{} of {slots} slots taken", status.running),
        None => format!("{} up", status.running),
    };
    let memory = match status.memory_budget {
        Some(budget) => format!("{} of {budget} of memory claimed", status.memory_claimed),
        None => format!("{} of memory claimed", status.memory_claimed),
    };
    format!("{slots}, {memory}.")
}

/// Returns warnings that explain why no run starts.
fn coordinator_warnings(status: &CoordinatorStatus) -> Vec<String> {
    let paused = status.paused_by.as_ref();
    let paused = paused.map(|by| format!("no run starts: admission was paused by {}", visible(by)));
    let troubles = status.troubles.iter().map(|trouble| visible(trouble).into_owned());
    paused.into_iter().chain(troubles).collect()
}

#[cfg(test)]
pub(super) mod tests;
