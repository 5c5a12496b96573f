//! The loop: observe, decide, execute, record.
//!
//! The [`Coordinator`] is a plain value with one owner. It has no rule of its own: what is to be
//! done is decided by [`policy`](crate::policy), from what the store holds and what the units are
//! like. Everything is level-triggered, so a coordinator that was gone for a while, whyever, does
//! what the next [`tick`](Coordinator::tick) finds to be done.
//!
//! # Store first
//! What the store holds is kept here as a copy. A change goes into the store first, then into the
//! copy, then to the units; if the store does not take it, it has not been decided. What hooks write
//! meanwhile comes back as [events](bij_core::queue::Event), which are read before every decision.
//!
//! # What is under way
//! A start or a stop takes as long as the unit takes, and a start asks back by
//! [`admit`](Coordinator::admit) before it goes on. So neither is waited for in a tick: they are
//! under way until [`next_finished`](Coordinator::next_finished) says what became of one.

mod act;
mod admit;
mod catch_up;
mod edit;
mod execute;
mod extras;
mod finish;
mod gpu_memory;
mod groups;
mod heat;
mod left_open;
mod look;
mod observe;
mod places;
mod power;
mod reload;
mod skipped;
mod submit;
#[cfg(test)]
mod tests;
mod traits;
mod trouble;
mod under_way;

use std::collections::{BTreeMap, BTreeSet};

use bij_core::definition::CoordinatorSettings;
use bij_core::port::{Board, Change, LedgerError};
use bij_core::queue::{EventKind, GoingDown, Queue};
use bij_core::{BootId, Bytes, ExperimentId, InvocationId, RunId, TimeSpan, Timestamp};

pub use finish::Finished;
pub use heat::Lives;
pub use power::PowerTold;
pub use submit::MAX_AT_ONCE;

use crate::policy::{Decision, Observation, State, Stray, decide};
use crate::{Adapters, Now, Ports};
use trouble::{Troubles, With};
use under_way::UnderWay;

/// Decides who runs, and has it done.
pub struct Coordinator<P: Ports> {
    adapters: Adapters<P>,
    state: State,
    seen: Observation,
    /// What is still to be looked at before the next decision.
    unseen: Unseen,
    /// The newest event that has been taken in.
    seq: u64,
    /// The newest event when the queue was read as a whole.
    loaded_at: u64,
    /// Something has happened since the last decision.
    undecided: bool,
    /// The last report is what a decision would report now.
    report_is_fresh: bool,
    under_way: UnderWay,
    /// Units that were let start although that could not be recorded.
    let_in: BTreeMap<ExperimentId, LetIn>,
    /// Starts that were turned away or whose skip was dealt with, and until when that is remembered.
    turned_away: BTreeMap<InvocationId, TimeSpan>,
    /// Runs whose terms have been compared with their definition.
    adopted: BTreeSet<RunId>,
    health_due: TimeSpan,
    /// When it is looked whether anybody has left an attempt open.
    left_open_due: Option<TimeSpan>,
    /// What the heat ladder has done and could not be recorded yet, the oldest first.
    untold: Vec<(Change, Timestamp)>,
    /// What definitions say of heat, of those that are up or were.
    traits: BTreeMap<ExperimentId, traits::Traits>,
    /// What was told last of the GPU's memory.
    gpu_memory: Option<Result<BTreeMap<ExperimentId, Bytes>, String>>,
    troubles: Troubles,
    since: Timestamp,
    /// The user whose own coordinator it is; `None` for the machine's.
    owner: Option<u32>,
}

/// What is still to be looked at before the next decision.
#[derive(Debug, Default)]
struct Unseen {
    all_units: bool,
    units: BTreeSet<ExperimentId>,
    /// The copy of the queue may differ from it.
    queue: bool,
}

/// A unit that was let start although that could not be recorded.
#[derive(Debug)]
struct LetIn {
    stray: Stray,
    /// The uptime until which it is believed to be on its way.
    until: TimeSpan,
}

/// What else an event or an event's own change says is looked at, and a decision is followed by
/// another until nothing is left to do, up to so many times; what is left then is left to the next
/// tick.
const ROUNDS: usize = 8;

/// What an event says besides its kind.
type EventData = BTreeMap<String, String>;

impl<P: Ports> Coordinator<P> {
    /// Takes over what is in the store. Nothing is touched before the first
    /// [`tick`](Self::tick).
    ///
    /// # Errors
    /// [`LedgerError`] if the store cannot be read.
    pub fn open(
        adapters: Adapters<P>,
        boot: BootId,
        settings: CoordinatorSettings,
        now: Now,
    ) -> Result<Self, LedgerError> {
        let sample = adapters.board.sample();
        let mut coordinator = Self {
            adapters,
            state: State::new(boot, settings, Queue::default()),
            seen: Observation::new(now, sample),
            unseen: Unseen { all_units: true, units: BTreeSet::new(), queue: true },
            seq: 0,
            loaded_at: 0,
            undecided: true,
            report_is_fresh: false,
            under_way: UnderWay::default(),
            let_in: BTreeMap::new(),
            turned_away: BTreeMap::new(),
            adopted: BTreeSet::new(),
            health_due: now.uptime,
            left_open_due: None,
            untold: Vec::new(),
            traits: BTreeMap::new(),
            gpu_memory: None,
            troubles: Troubles::default(),
            since: now.at,
            owner: None,
        };
        coordinator.load()?;
        coordinator.note(EventKind::CoordinatorStarted, None, [], now);
        Ok(coordinator)
    }

    /// The same as one user's own coordinator: that user may add to a run whatever root may.
    #[must_use]
    pub fn owned_by(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// Looks at what has happened, decides, and has it done.
    ///
    /// Nothing fails: what cannot be done now is a trouble, which [`status`](Self::status) tells,
    /// and is tried again at [`next_look`](Self::next_look). Where nothing has happened and nothing
    /// is due, nothing is done.
    pub async fn tick(&mut self, now: Now) {
        self.seen.now = now;
        self.go_on().await;
        // Last, so that a store that fails is not tried twice for it.
        self.tell_of_heat();
    }

    async fn go_on(&mut self) {
        let now = self.seen.now;
        for _ in 0..ROUNDS {
            self.look_at_units().await;
            if !self.catch_up() {
                return;
            }
            if !self.has_seen_enough() {
                if self.troubles.waits(With::Bus, now.uptime) {
                    return;
                }
                continue;
            }
            if !self.undecided && self.next_look().is_none_or(|due| now.uptime < due) {
                return;
            }
            self.look_at_the_rest();
            let Decision { actions, report } = decide(&self.state, &self.seen);
            self.take_report(report);
            self.undecided = false;
            if actions.is_empty() || !self.execute(actions) {
                return;
            }
            // The slot waits, whatever else there is to decide.
            self.under_way.set_off().await;
        }
    }

    /// The uptime at which the next tick is due though nothing happens; `None` if it is not.
    pub fn next_look(&self) -> Option<TimeSpan> {
        if self.undecided && self.troubles.next_try().is_none() {
            return Some(self.seen.now.uptime);
        }
        let report = self.state.last.as_ref().and_then(|report| report.next_look);
        let anything_up = self.state.up().next().is_some();
        let health = anything_up.then_some(self.health_due);
        let let_in = self.let_in.values().map(|let_in| let_in.until).min();
        let due = [report, health, let_in, self.left_open_due, self.troubles.next_try()];
        let due = due.into_iter().flatten().min()?;
        // Before its trouble is tried again, a tick would find nothing to do, again and again.
        Some(self.troubles.last_try().map_or(due, |again| due.max(again)))
    }

    /// The service manager has said something of an experiment's unit: it is looked at in the next
    /// tick.
    pub fn unit_changed(&mut self, experiment: ExperimentId) {
        self.unseen.units.insert(experiment);
        self.undecided = true;
    }

    /// Something is going down, or is not after all: meanwhile nothing is started. What came from
    /// elsewhere is judged as ever.
    pub fn goes_down(&mut self, what: GoingDown, goes: bool) {
        let changed = if goes {
            self.seen.going_down.insert(what)
        } else {
            self.seen.going_down.remove(&what)
        };
        self.undecided |= changed;
        self.report_is_fresh &= !changed;
    }

    /// What the service manager has said may have been lost: all is looked at in the next tick.
    pub fn resync(&mut self) {
        self.unseen = Unseen { all_units: true, units: BTreeSet::new(), queue: true };
        self.undecided = true;
    }
}
