//! The runs that are not over, and the log of all changes.

use super::LedgerError;
use crate::queue::{Event, EventKind, Group, GroupName, Pause, Queue, QueueState, QueuedRun};
use crate::queue::{Place, RunRef, Submission, Terms};
use crate::{Outcome, RunEnd, RunId, RunState, Timestamp};
use std::collections::BTreeMap;

/// One change to the queue. Each may be asked for again: what is so already, and what speaks of a
/// run that is over or of none, is [`Outcome::Unchanged`] and leaves no event. What the events say
/// is told by [`Happening`](crate::queue::Happening).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A run is where it was not: let start, held, released, requeued.
    ///
    /// A run that is up is put back *before* its attempt is stopped: the end of an attempt by a stop
    /// ends a run that is running, and leaves one that waits or is held where it is.
    State {
        /// Which.
        run: RunId,
        /// Where it was when this was decided. One that has moved on since, because a hook has begun
        /// an attempt of it, stays where it is: that is [`Outcome::Unchanged`]. `None` is wherever.
        from: Option<QueueState>,
        /// Where it stands now.
        state: QueueState,
        /// Why, for the event.
        why: String,
    },
    /// Other terms. For a run that is up they count from now on, too: so a start that nobody has
    /// submitted gets the claim of its definition.
    Edit {
        /// Which.
        run: RunId,
        /// The new ones.
        terms: Box<Terms>,
        /// Who asked.
        by: String,
    },
    /// Another place among those of its priority; what is submitted later comes behind it.
    Move {
        /// Which.
        run: RunId,
        /// Where to.
        place: Place,
        /// Who asked; `None` leaves no event (places are given anew when there is no room between).
        by: Option<String>,
    },
    /// Smaller runs have passed it. Leaves no event.
    Bypassed {
        /// Which.
        run: RunId,
        /// How many by now.
        times: u32,
    },
    /// Somebody wants a running one stopped, which ends it: kept with the run until it is over or is
    /// put back. Who has asked first stands.
    Stop {
        /// Which.
        run: RunId,
        /// Who asks.
        by: String,
    },
    /// It is over without another attempt: cancelled, or given up.
    End {
        /// Which.
        run: RunId,
        /// How.
        end: RunEnd,
        /// Who or what ended it.
        by: String,
    },
    /// A group is set up or changed.
    SetGroup {
        /// The group, whole.
        group: Group,
        /// Who asked.
        by: String,
    },
    /// A group is no longer set up.
    RemoveGroup {
        /// Which.
        name: GroupName,
        /// Who asked.
        by: String,
    },
    /// Admission of all runs is paused, or (`None`) resumed. Who has paused it first stands.
    Pause {
        /// By whom, since when.
        pause: Option<Pause>,
        /// Who asked.
        by: String,
    },
    /// Nothing but an event; always [`Outcome::Changed`].
    Note {
        /// What.
        kind: EventKind,
        /// Of which run, if of one.
        run: Option<RunId>,
        /// What else there is to say.
        data: BTreeMap<String, String>,
    },
}

/// Keeps the queue. What a call has returned is on the disk, and has its events there.
///
/// Two things may get there with whatever is written next, because a power cut before that would undo
/// them anyway: that a run is let start, and a run that a start from elsewhere
/// ([`Origin::Start`](crate::queue::Origin::Start)) has brought into the queue to be judged.
pub trait RunQueue {
    /// Everything that is not over. From then on, every other call fails with
    /// [`LedgerError::Replaced`] as soon as another database has taken the place of this one, until
    /// `load` is called again.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn load(&self) -> Result<Queue, LedgerError>;

    /// Takes runs in, all or none, in one transaction; each gets the next number of its experiment
    /// and a place behind all that are there. Takes the same time however many are queued.
    ///
    /// # Errors
    /// [`LedgerError`] if they were not recorded.
    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError>;

    /// Makes changes, all or none, in one transaction; tells of each whether it changed anything.
    ///
    /// # Errors
    /// [`LedgerError`] if they were not recorded.
    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError>;

    /// Where a run is; `None` if there never was such a run. The newest of an experiment is the one
    /// with the highest number.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError>;

    /// The events after the one with the number `after`, oldest first, at most so many.
    ///
    /// Numbers have no holes, and the newest [`Event::KEPT`] are kept, or a few more: where the first that is found is not
    /// `after + 1`, those in between are no longer kept.
    ///
    /// # Errors
    /// [`LedgerError`] if they could not be read.
    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError>;
}
