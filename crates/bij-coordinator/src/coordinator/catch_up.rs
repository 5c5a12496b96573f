//! The copy of the queue follows what others write.

use bij_core::port::{AttemptQuery, DefinitionSource, Ledger, LedgerError, RunQueue};
use std::collections::BTreeMap;

use bij_core::queue::{Event, EventKind, QueueState, QueuedRun, RunRef};
use bij_core::{Attempt, Cause, RunId, RunNumber};

use super::{Coordinator, trouble::With};
use crate::Ports;
use crate::policy::{Interruption, State};

/// So many events are read at once: thousands in one go would take more memory than the queue.
const AT_ONCE: usize = 250;
/// As many lost runs are named in one event, and as many in all.
const LOST_AT_ONCE: usize = 50;
const LOST_AT_MOST: usize = 1000;

impl<P: Ports> Coordinator<P> {
    /// Takes in what has been written since; says whether the copy is what the store holds.
    pub(super) fn catch_up(&mut self) -> bool {
        let uptime = self.seen.now.uptime;
        if self.troubles.waits(With::Store, uptime) {
            return false;
        }
        let caught_up = if self.unseen.queue { self.load() } else { self.read_events() };
        match caught_up {
            Ok(()) => self.troubles.gone(With::Store),
            Err(error) => self.troubles.met(With::Store, &error, self.seen.now),
        }
        !self.unseen.queue
    }

    /// Reads the whole queue.
    pub(super) fn load(&mut self) -> Result<(), LedgerError> {
        self.unseen.queue = true;
        let store = &self.adapters.store;
        // Before the queue: what is written in between is taken in twice, and not lost.
        let seq = match newest_event(store, self.seq) {
            Err(LedgerError::Replaced(_)) => {
                // From here on it is the new one that is asked.
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
        self.adopted.retain(|run| runs.contains_key(run));
        self.seen.others.clear();
        self.unseen.queue = false;
        self.undecided = true;
        self.report_is_fresh = false;
        self.tell_lost(&before);
        Ok(())
    }

    /// Tells of runs that the copy had and of which the store knows nothing: another database has
    /// taken the place of the one that they were submitted to.
    fn tell_lost(&mut self, before: &BTreeMap<RunId, QueuedRun>) {
        let is_lost = |run: &&QueuedRun| {
            if let Some(now) = self.state.runs.get(&run.run) {
                // Another run by the same number.
                return now.submitted != run.submitted;
            }
            let state = self.adapters.store.run_state(&RunRef::Run(run.run.clone()));
            matches!(state, Ok(None))
        };
        let lost: Vec<String> =
            before.values().filter(is_lost).map(|run| run.run.to_string()).collect();
        let told = lost.len().min(LOST_AT_MOST);
        for some in lost[..told].chunks(LOST_AT_ONCE) {
            let text = format!(
                "another state database has taken the place of the one that these runs were \
                 queued in; it knows nothing of them: {}",
                some.join(", ")
            );
            self.note(EventKind::QueueLost, None, [("text", text)], self.seen.now);
        }
        if lost.len() > told {
            let text = format!("and of {} more", lost.len() - told);
            self.note(EventKind::QueueLost, None, [("text", text)], self.seen.now);
        }
    }

    /// Finds the runs that were up in another boot, or under a service manager of the user that is gone.
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
            // What it held and the new one does not is told by `load`.
            Err(LedgerError::Replaced(_)) => self.load(),
            read => read,
        }
    }

    fn read_new_events(&mut self) -> Result<(), LedgerError> {
        loop {
            // From the newest that is known on: without that one they are another database's.
            let events = self.adapters.store.events(self.seq.saturating_sub(1), AT_ONCE)?;
            let is_last = events.len() < AT_ONCE;
            let mut events = events.into_iter();
            if self.seq > 0 && events.next().is_none_or(|known| known.seq != self.seq) {
                return self.load();
            }
            for event in events {
                if event.seq != self.seq + 1 {
                    // Those in between are no longer kept.
                    return self.load();
                }
                self.seq = event.seq;
                if self.take_in(&event) == Told::Unknown {
                    return self.load();
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Takes in what one event tells. Our own tell what is known already, in the order in which it
    /// came to be; so each is applied whoever has written it.
    fn take_in(&mut self, event: &Event) -> Told {
        let run = event.experiment.clone().zip(event.run);
        let Some((experiment, number)) = run else { return Told::Nothing };
        let run = RunId { experiment, number };
        let known = self.state.runs.get(&run).map(|run| run.state.clone());
        let state = match event.kind {
            EventKind::Submitted => {
                self.seen.others.retain(|on, _| *on.experiment() != run.experiment);
                // One that is over by now is told to be by a later event, or was never known.
                return if known.is_some() { Told::Nothing } else { Told::Unknown };
            }
            EventKind::RunEnded => {
                self.seen.others.retain(|on, _| *on.experiment() != run.experiment);
                self.state.forget(&run);
                self.adopted.remove(&run);
                self.unit_changed(run.experiment);
                return Told::Something;
            }
            EventKind::AttemptBegun => {
                // Read after the queue was, it is of this boot: nobody has to carry the run on.
                self.state.interrupted.remove(&run);
                QueueState::Running
            }
            EventKind::Admitted => QueueState::Starting { boot: self.state.boot },
            EventKind::Released | EventKind::Requeued => QueueState::Waiting,
            EventKind::Held => match (&known, event.data.get("by")) {
                (_, Some(by)) => QueueState::Held { by: by.clone() },
                (Some(QueueState::Held { .. }), None) => return Told::Nothing,
                (_, None) => return Told::Unknown,
            },
            EventKind::StopRequested => {
                let Some(queued) = self.state.runs.get_mut(&run) else { return Told::Nothing };
                queued.stop = event.data.get("by").cloned();
                self.unit_changed(run.experiment);
                return Told::Something;
            }
            EventKind::AttemptEnded => {
                self.unit_changed(run.experiment);
                return Told::Something;
            }
            EventKind::Edited
            | EventKind::Heat
            | EventKind::PowerMode
            | EventKind::Clocks
            | EventKind::Moved
            | EventKind::StartSkipped
            | EventKind::ActionFailed
            | EventKind::Paused
            | EventKind::Resumed
            | EventKind::GroupChanged
            | EventKind::Health
            | EventKind::CoordinatorStarted
            | EventKind::QueueLost
            | EventKind::Reloaded => return Told::Nothing,
        };
        match (known, self.state.runs.get_mut(&run)) {
            (Some(known), Some(queued)) if known == state => {
                queued.forget_stop_unless_running();
                Told::Nothing
            }
            (_, Some(queued)) => {
                queued.state = state;
                queued.forget_stop_unless_running();
                self.state.interrupted.remove(&run);
                self.unit_changed(run.experiment);
                Told::Something
            }
            // An attempt of a run that nobody has submitted, or one that is over by now.
            (_, None) => Told::Unknown,
        }
    }
}

/// What an event told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Something,
    /// More than can be taken in without reading the queue.
    Unknown,
}

/// The newest attempt of one run.
pub(super) fn newest_attempt(
    store: &impl Ledger,
    run: &RunId,
) -> Result<Option<Attempt>, LedgerError> {
    newest(store, run, Some(run.number))
}

/// The newest attempt of a run, or with no number of its experiment.
pub(super) fn newest(
    store: &impl Ledger,
    run: &RunId,
    number: Option<RunNumber>,
) -> Result<Option<Attempt>, LedgerError> {
    let experiment = Some(run.experiment.clone());
    let query =
        AttemptQuery { experiment, run: number, newest: Some(1), ..AttemptQuery::default() };
    Ok(store.attempts(&query)?.pop())
}

/// The number of the newest event, looked for after one that is known: numbers have no holes, so a
/// few questions find it however many there are.
fn newest_event(store: &impl RunQueue, known: u64) -> Result<u64, LedgerError> {
    // Events that were known and are not there are those of another database.
    let known = if knows(store, known)? { known } else { 0 };
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

/// Whether an event is there: one that was told and is not, nor any after it, was told by another
/// database than this one.
fn knows(store: &impl RunQueue, seq: u64) -> Result<bool, LedgerError> {
    let Some(before) = seq.checked_sub(1) else { return Ok(true) };
    Ok(!store.events(before, 1)?.is_empty())
}
