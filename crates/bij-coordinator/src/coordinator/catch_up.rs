//! Keeps the copy of the queue equal to the store.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, DefinitionSource, Ledger, LedgerError, RunQueue};
use bij_core::queue::{Event, EventKind, QueueState, QueuedRun, RunRef};
use bij_core::{Attempt, Cause, RunId, RunNumber};

use super::{Coordinator, EventData, trouble::TroubleSource};
use crate::Ports;
use crate::policy::{Interruption, State};

/// Number of events read at once; thousands would take more memory than the queue.
const EVENTS_AT_ONCE: usize = 250;
/// Number of lost runs that one event names, and that all events together name.
const LOST_RUNS_PER_EVENT: usize = 50;
const MAX_LOST_RUNS_NAMED: usize = 1000;

impl<P: Ports> Coordinator<P> {
    /// Applies what has been written since the last call. Returns whether the copy equals the store.
    pub(super) fn catch_up(&mut self) -> bool {
        let uptime = self.seen.now.uptime;
        if self.troubles.is_waiting(TroubleSource::Store, uptime) {
            return false;
        }
        let caught_up =
            if self.outdated.is_queue_outdated() { self.load() } else { self.read_events() };
        match caught_up {
            Ok(()) => self.troubles.clear(TroubleSource::Store),
            Err(error) => self.troubles.record(TroubleSource::Store, &error, self.seen.now),
        }
        !self.outdated.is_queue_outdated()
    }

    /// Reads the whole queue.
    pub(super) fn load(&mut self) -> Result<(), LedgerError> {
        self.outdated.queue();
        let store = &self.adapters.store;
        // Before the queue: a change in between is applied twice, and none is missed.
        let seq = match newest_event(store, self.seq) {
            Err(LedgerError::Replaced(_)) => {
                // From here on the store reads the new database.
                store.load()?;
                newest_event(store, 0)
            }
            found => found,
        }?;
        let loaded = State::new(self.state.boot, self.state.settings.clone(), store.load()?);
        let State { runs, groups, paused, .. } = loaded;
        let before = std::mem::replace(&mut self.state.runs, runs);
        self.state.groups = groups;
        self.state.paused = paused;
        self.seq = seq;
        self.loaded_at = seq;
        self.find_interrupted()?;
        let runs = &self.state.runs;
        self.state.back_off.retain(|run, _| runs.contains_key(run));
        self.state.health.retain(|run, _| runs.contains_key(run));
        self.seen.others.clear();
        self.outdated.have_read_queue();
        self.report_lost_runs(&before);
        Ok(())
    }

    /// Records the runs of the copy of which the store knows nothing: another database has replaced the one
    /// that they were submitted to.
    fn report_lost_runs(&mut self, before: &BTreeMap<RunId, QueuedRun>) {
        let is_lost = |run: &&QueuedRun| {
            if let Some(now) = self.state.runs.get(&run.run) {
                // Another run with the same number.
                return now.submitted != run.submitted;
            }
            let state = self.adapters.store.run_state(&RunRef::Run(run.run.clone()));
            matches!(state, Ok(None))
        };
        let lost: Vec<String> =
            before.values().filter(is_lost).map(|run| run.run.to_string()).collect();
        let named = lost.len().min(MAX_LOST_RUNS_NAMED);
        for some in lost[..named].chunks(LOST_RUNS_PER_EVENT) {
            let text = format!(
                "another state database has taken the place of the one that these runs were \
                 queued in; it knows nothing of them: {}",
                some.join(", ")
            );
            self.note_later(
                EventKind::QueueLost,
                None,
                EventData::from([("text".to_owned(), text)]),
            );
        }
        if lost.len() > named {
            let text = format!("and of {} more", lost.len() - named);
            self.note_later(
                EventKind::QueueLost,
                None,
                EventData::from([("text".to_owned(), text)]),
            );
        }
    }

    /// Finds the runs that were up in another boot, or under a service manager of the user that has ended.
    fn find_interrupted(&mut self) -> Result<(), LedgerError> {
        self.state.interrupted.clear();
        let Self { adapters, state, .. } = self;
        for run in state.runs.values() {
            let how = match &run.state {
                QueueState::Waiting | QueueState::Held { .. } => continue,
                QueueState::Starting { boot } if *boot == state.boot => continue,
                QueueState::Starting { .. } => Interruption::BeforeItBegan,
                QueueState::Running => {
                    let newest = newest_attempt(&adapters.store, &run.run)?;
                    let Some(attempt) = newest else { continue };
                    let cause = if attempt.key.boot != state.boot {
                        let clean = adapters.store.ended_cleanly(attempt.key.boot)?;
                        if clean { Cause::Reboot } else { Cause::PowerLoss }
                    } else if attempt.end.is_some_and(|end| end.cause == Cause::ManagerStop) {
                        Cause::ManagerStop
                    } else {
                        continue;
                    };
                    let definition = adapters.definitions.find(&run.run.experiment);
                    let on_reboot = definition.ok().map(|found| found.spec.restart.on_reboot);
                    Interruption::Running { cause, on_reboot }
                }
            };
            state.interrupted.insert(run.run.clone(), how);
        }
        Ok(())
    }

    fn read_events(&mut self) -> Result<(), LedgerError> {
        match self.read_new_events() {
            // `load` reports the runs that the new database lacks.
            Err(LedgerError::Replaced(_)) => self.load(),
            read => read,
        }
    }

    fn read_new_events(&mut self) -> Result<(), LedgerError> {
        loop {
            // Starting with the newest known event: without it, the events are another database's.
            let events = self.adapters.store.events(self.seq.saturating_sub(1), EVENTS_AT_ONCE)?;
            let is_last = events.len() < EVENTS_AT_ONCE;
            let mut events = events.into_iter();
            if self.seq > 0 && events.next().is_none_or(|known| known.seq != self.seq) {
                return self.load();
            }
            for event in events {
                if event.seq != self.seq + 1 {
                    // The events in between are no longer kept.
                    return self.load();
                }
                self.seq = event.seq;
                let must_reload = self.apply_event(&event);
                if must_reload {
                    return self.load();
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Applies one event, and returns whether the queue must be read again instead. The coordinator's own events
    /// repeat what is known, in the same order, so each event is applied whatever its writer.
    fn apply_event(&mut self, event: &Event) -> bool {
        let run = event.experiment.clone().zip(event.run);
        let Some((experiment, number)) = run else { return false };
        let run = RunId { experiment, number };
        let known = self.state.runs.get(&run).map(|run| run.state.clone());
        let state = match event.kind {
            EventKind::Submitted => {
                self.seen.others.retain(|on, _| *on.experiment() != run.experiment);
                // If the run has ended by now, a later event says so, or it was never known.
                return known.is_none();
            }
            EventKind::RunEnded => {
                self.seen.others.retain(|on, _| *on.experiment() != run.experiment);
                self.state.forget(&run);
                self.outdated.unit(run.experiment);
                return false;
            }
            EventKind::AttemptBegun => {
                // An event that is newer than the queue is of this boot, so the run is not interrupted.
                self.state.interrupted.remove(&run);
                QueueState::Running
            }
            EventKind::Admitted => QueueState::Starting { boot: self.state.boot },
            EventKind::Released | EventKind::Requeued => QueueState::Waiting,
            EventKind::Held => match (&known, event.data.get("by")) {
                (_, Some(by)) => QueueState::Held { by: by.clone() },
                (Some(QueueState::Held { .. }), None) => return false,
                (_, None) => return true,
            },
            EventKind::StopRequested => {
                let Some(queued) = self.state.runs.get_mut(&run) else {
                    return false;
                };
                queued.stop = event.data.get("by").cloned();
                self.outdated.unit(run.experiment);
                return false;
            }
            EventKind::AttemptEnded => {
                self.outdated.unit(run.experiment);
                return false;
            }
            // No other event changes the state of a run.
            _ => return false,
        };
        match (known, self.state.runs.get_mut(&run)) {
            (Some(known), Some(queued)) if known == state => {
                queued.forget_stop_unless_running();
                false
            }
            (_, Some(queued)) => {
                queued.state = state;
                queued.forget_stop_unless_running();
                self.state.interrupted.remove(&run);
                self.outdated.unit(run.experiment);
                false
            }
            // An attempt of a run that was never submitted, or that has ended by now.
            (_, None) => true,
        }
    }
}

/// Returns the newest attempt of a run.
pub(super) fn newest_attempt(
    store: &impl Ledger,
    run: &RunId,
) -> Result<Option<Attempt>, LedgerError> {
    newest_attempt_of(store, run, Some(run.number))
}

/// Returns the newest attempt of a run, or without a number that of its experiment.
pub(super) fn newest_attempt_of(
    store: &impl Ledger,
    run: &RunId,
    number: Option<RunNumber>,
) -> Result<Option<Attempt>, LedgerError> {
    let experiment = Some(run.experiment.clone());
    let query =
        AttemptQuery { experiment, run: number, newest: Some(1), ..AttemptQuery::default() };
    Ok(store.attempts(&query)?.pop())
}

/// Returns the sequence number of the newest event, searched for from a known one: numbers have no gaps, so
/// a logarithmic number of queries finds it.
fn newest_event(store: &impl RunQueue, known: u64) -> Result<u64, LedgerError> {
    // If a known event is missing, the database is another one.
    let known = if has_event(store, known)? { known } else { 0 };
    let is_newest_or_later = |seq: u64| store.events(seq, 1).map(|later| later.is_empty());
    let (mut low, mut high, mut step) = (known, known, 1);
    while !is_newest_or_later(high)? {
        low = high + 1;
        high = high.saturating_add(step);
        step = step.saturating_mul(2);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if is_newest_or_later(middle)? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// Returns whether this event or a later one exists. If neither does, the number comes from another
/// database.
fn has_event(store: &impl RunQueue, seq: u64) -> Result<bool, LedgerError> {
    let Some(before) = seq.checked_sub(1) else { return Ok(true) };
    Ok(!store.events(before, 1)?.is_empty())
}
