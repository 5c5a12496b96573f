//! The port to the queue of runs and to the log of events.

use super::{Ledger, LedgerError};
use crate::queue::{
    Event, EventKind, Group, GroupName, Pause, Queue, QueuePosition, QueueState, QueuedRun, RunRef,
    Submission, Terms,
};
use crate::{ExperimentId, Outcome, RunEnd, RunId, RunNumber, RunState, Timestamp};
use std::collections::BTreeMap;

/// One change to the queue. Changes are idempotent: a change that is already in place, or that names a run
/// that has ended or never existed, is [`Outcome::Unchanged`] and records no event.
/// [`NewEvent`](crate::queue::NewEvent) describes the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Moves a run to another state: admitted, held, released, requeued.
    ///
    /// A running run is requeued *before* its attempt is stopped, because the end of an attempt by a stop ends
    /// a running run and leaves a waiting or held run in its state.
    State {
        /// The run to move.
        run: RunId,
        /// The state for which the change was decided. A run in another state, because a hook has begun an
        /// attempt of it, is [`Outcome::Unchanged`]. `None` changes any state.
        from: Option<QueueState>,
        /// The new state.
        state: QueueState,
        /// The reason, for the event.
        why: String,
    },
    /// Changes the terms of a run. They apply to a running run, too: an untracked unit gets the claim of its
    /// definition in this way.
    Edit {
        /// The run to change.
        run: RunId,
        /// The new terms.
        terms: Box<Terms>,
        /// The account that asked for it.
        by: String,
    },
    /// Moves a run to another position among the runs of its priority. Later submissions come behind it.
    Move {
        /// The run to move.
        run: RunId,
        /// The new position.
        position: QueuePosition,
        /// The account that asked for it; `None` records no event (positions are renumbered when no number is
        /// free between two runs).
        by: Option<String>,
    },
    /// Sets how many smaller runs have passed a run. Records no event.
    Bypassed {
        /// The run that was passed.
        run: RunId,
        /// The number of runs that have passed it.
        times: u32,
    },
    /// Requests the stop of a running run, which ends it. The request is kept until the run ends or is
    /// requeued; the first request is kept.
    Stop {
        /// The run to stop.
        run: RunId,
        /// The account that asked for it.
        by: String,
    },
    /// Ends a run without another attempt: cancelled, or given up.
    End {
        /// The run to end.
        run: RunId,
        /// How it ends.
        end: RunEnd,
        /// The account or the component that ended it.
        by: String,
    },
    /// Creates or changes a group.
    SetGroup {
        /// The whole group.
        group: Group,
        /// The account that asked for it.
        by: String,
    },
    /// Removes a group.
    RemoveGroup {
        /// The group to remove.
        name: GroupName,
        /// The account that asked for it.
        by: String,
    },
    /// Pauses the admission of all runs, or (`None`) resumes it. The first pause is kept.
    Pause {
        /// The account that paused it, and since when.
        pause: Option<Pause>,
        /// The account that asked for it.
        by: String,
    },
    /// Records an event without another change; always [`Outcome::Changed`].
    Note {
        /// The kind of the event.
        kind: EventKind,
        /// The run of the event, if it has one.
        run: Option<RunId>,
        /// The data of the event.
        data: BTreeMap<String, String>,
    },
}

/// Keeps the queue. When a call returns, its changes and their events are on the disk.
///
/// Two changes may reach the disk only with the next write, because a power cut before it would undo them
/// anyway: the admission of a run, and a run that was queued by a start from elsewhere
/// ([`Origin::Start`](crate::queue::Origin::Start)).
pub trait RunQueue {
    /// Reads all runs that have not ended. Every later call fails with [`LedgerError::Replaced`] if the
    /// database was replaced since, until `load` is called again.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn load(&self) -> Result<Queue, LedgerError>;

    /// Adds runs, all or none, in one transaction. Each gets the next number of its experiment and a position
    /// behind all queued runs. The cost does not depend on the number of queued runs.
    ///
    /// # Errors
    /// [`LedgerError`] if they were not recorded.
    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError>;

    /// Makes changes, all or none, in one transaction; returns the outcome of each.
    ///
    /// # Errors
    /// [`LedgerError`] if they were not recorded.
    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError>;

    /// Returns whether a run is open or how it ended; `None` if there never was such a run. The newest run of
    /// an experiment is the run with the highest number.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError>;

    /// Returns up to `at_most` events after the event with number `after`, oldest first.
    ///
    /// Numbers have no gaps, and at least the newest [`Event::KEPT`] events are kept: if the first returned
    /// event is not `after + 1`, the events in between have been deleted.
    ///
    /// # Errors
    /// [`LedgerError`] if they could not be read.
    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError>;
}

/// Returns the newest run of an experiment; `None` if there never was one.
///
/// Runs that were cancelled before they started come after the run of the newest attempt, and have none.
///
/// # Errors
/// [`LedgerError`] if the store could not be read.
pub fn newest_run(
    store: &(impl Ledger + RunQueue),
    experiment: &ExperimentId,
) -> Result<Option<RunId>, LedgerError> {
    let last = store.tally(experiment)?.last.map_or(0, |last| last.run.number.0);
    let named = |number| RunId { experiment: experiment.clone(), number: RunNumber(number) };
    let exists = |number| Ok(store.run_state(&RunRef::Run(named(number)))?.is_some());
    // Numbers have no gaps: a logarithmic number of queries finds the highest.
    let (mut known, mut step) = (last, 1);
    let mut missing = loop {
        let next = known.saturating_add(step);
        if next == known || !exists(next)? {
            break next;
        }
        (known, step) = (next, step.saturating_mul(2));
    };
    while missing.saturating_sub(known) > 1 {
        let middle = known + (missing - known) / 2;
        if exists(middle)? {
            known = middle;
        } else {
            missing = middle;
        }
    }
    Ok((known > 0).then(|| named(known)))
}
