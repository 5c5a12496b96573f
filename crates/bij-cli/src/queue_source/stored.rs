//! Reads the queue from the store. It has everything but the gates, which only a coordinator evaluates.

use bij_api::message::{Entry, Event, QueueQuery, Why};
use bij_core::port::{Ledger as _, RunQueue as _};
use bij_core::queue::{ClosedGate, QueueState, QueuedRun, RunRef, WaitingOn};
use bij_core::{RunId, RunNumber, RunState};
use bij_store::Reader;

use crate::error::{CliError, Kind};

/// How many events are read at a time.
const PAGE_SIZE: usize = 1000;

/// Returns the runs that are not over: the runs that are up, then the others in starting order.
pub(super) fn queue(reader: &Reader, query: &QueueQuery) -> Result<Vec<Entry>, CliError> {
    let QueueQuery { experiment, group, state, skip } = query;
    let skip = usize::try_from(*skip).unwrap_or(usize::MAX);
    let wanted = |entry: &Entry| {
        experiment.as_ref().is_none_or(|id| *id == entry.experiment)
            && group.as_ref().is_none_or(|group| *group == entry.group)
            && state.is_none_or(|state| state == entry.state)
    };
    let entries = ordered(reader)?.into_iter().map(entry);
    Ok(entries.filter(wanted).skip(skip).collect())
}

fn ordered(reader: &Reader) -> Result<Vec<QueuedRun>, CliError> {
    let mut runs = reader.load()?.runs;
    runs.sort_by(|a, b| {
        b.state.is_up().cmp(&a.state.is_up()).then_with(|| a.order().cmp(&b.order()))
    });
    Ok(runs)
}

/// Returns the entry of a run, with the gate `hold`, the only one that the store knows.
fn entry(run: QueuedRun) -> Entry {
    let waiting_on = match &run.state {
        QueueState::Held { by } => {
            vec![WaitingOn { gate: ClosedGate::Hold { by: by.clone() }, since: run.submitted }]
        }
        QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => Vec::new(),
    };
    Entry::from_run(run, &waiting_on)
}

/// Returns one run, and the runs that go first.
pub(super) fn why(reader: &Reader, run: &RunRef) -> Result<Why, CliError> {
    let runs = ordered(reader)?;
    let found = match run {
        RunRef::Run(run) => runs.iter().find(|queued| queued.run == *run),
        RunRef::Newest(id) => {
            let own = runs.iter().filter(|queued| queued.run.experiment == *id);
            own.max_by_key(|queued| queued.run.number)
        }
    };
    let Some(found) = found else {
        return ended_run(reader, run);
    };
    let waits = |queued: &&QueuedRun| !queued.state.is_up();
    let ahead = if waits(&found) {
        let before = runs.iter().take_while(|queued| queued.run != found.run);
        before.filter(waits).map(|queued| queued.run.clone()).collect()
    } else {
        Vec::new()
    };
    Ok(Why { entry: entry(found.clone()), ahead })
}

/// Returns a run that has ended.
fn ended_run(reader: &Reader, run: &RunRef) -> Result<Why, CliError> {
    let ended = match reader.run_state(run)? {
        Some(RunState::Ended(end)) => Some(end),
        Some(RunState::Open) | None => None,
    };
    let id = match run {
        RunRef::Run(id) => Some(id.clone()),
        RunRef::Newest(id) => newest(reader, run, reader.tally(id)?.last.map(|last| last.run))?,
    };
    match id.zip(ended) {
        Some((id, end)) => Ok(Why { entry: Entry::over(id, end), ahead: Vec::new() }),
        None => Err(CliError::new(Kind::NotFound, format!("there is no run {run}"))
            .hint("`bij queue` lists the runs that are not over, `bij history` all attempts")),
    }
}

/// Returns an experiment's newest run, given the newest one with an attempt: later runs may have ended without one.
fn newest(
    reader: &Reader,
    run: &RunRef,
    attempted: Option<RunId>,
) -> Result<Option<RunId>, CliError> {
    let mut newest = attempted;
    loop {
        let number = newest.as_ref().map_or(1, |run| run.number.0.saturating_add(1));
        let next = RunId { experiment: run.experiment().clone(), number: RunNumber(number) };
        if reader.run_state(&RunRef::Run(next.clone()))?.is_none() {
            return Ok(newest);
        }
        newest = Some(next);
    }
}

/// Returns up to [`PAGE_SIZE`] events after a number.
pub(super) fn events(reader: &Reader, since: u64) -> Result<Vec<Event>, CliError> {
    Ok(reader.events(since, PAGE_SIZE)?.into_iter().map(Event::from).collect())
}
