//! Reads the queue from the store. It has everything but the gates, which only a coordinator evaluates.

use bij_core::RunState;
use bij_core::port::{RunQueue as _, newest_run};
use bij_core::queue::{ClosedGate, Event, QueueState, QueuedRun, RunRef, WaitingOn};
use bij_core::request::{QueueEntry, QueueQuery, WaitReason, Why};
use bij_definition::SpecOverlay;
use bij_store::Reader;

use crate::error::{CliError, Kind};

/// How many events are read at a time.
const PAGE_SIZE: usize = 1000;

/// Returns the runs that are not over: the runs that are up, then the others in starting order.
pub(super) fn queue(reader: &Reader, query: &QueueQuery) -> Result<Vec<QueueEntry>, CliError> {
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    let runs = ordered(reader)?.into_iter().filter(|run| query.includes(run)).skip(skip);
    Ok(runs.map(|run| entry(&run)).collect())
}

fn ordered(reader: &Reader) -> Result<Vec<QueuedRun>, CliError> {
    let mut runs = reader.load()?.runs;
    runs.sort_by(|a, b| {
        b.state.is_up().cmp(&a.state.is_up()).then_with(|| a.order().cmp(&b.order()))
    });
    Ok(runs)
}

/// Returns the entry of a run, with the gate `hold`, the only one that the store knows.
fn entry(run: &QueuedRun) -> QueueEntry {
    let gate = match &run.state {
        QueueState::Held { by } => Some(ClosedGate::Hold { by: by.clone() }),
        QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => None,
    };
    let reason = gate.map(|gate| WaitReason::from(&WaitingOn { gate, since: run.submitted }));
    QueueEntry::new(run, SpecOverlay::without_values, reason.into_iter().collect())
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
    Ok(Why { entry: entry(found), ahead })
}

/// Returns a run that has ended.
fn ended_run(reader: &Reader, run: &RunRef) -> Result<Why, CliError> {
    let ended = match reader.run_state(run)? {
        Some(RunState::Ended(end)) => Some(end),
        Some(RunState::Open) | None => None,
    };
    let id = match run {
        RunRef::Run(id) => Some(id.clone()),
        RunRef::Newest(id) => newest_run(reader, id)?,
    };
    match id.zip(ended) {
        Some((id, end)) => Ok(Why { entry: QueueEntry::ended(id, end), ahead: Vec::new() }),
        None => Err(CliError::new(Kind::NotFound, format!("there is no run {run}"))
            .hint("`bij queue` lists the runs that are not over, `bij history` all attempts")),
    }
}

/// Returns up to [`PAGE_SIZE`] events after a number.
pub(super) fn events(reader: &Reader, since: u64) -> Result<Vec<Event>, CliError> {
    Ok(reader.events(since, PAGE_SIZE)?)
}
