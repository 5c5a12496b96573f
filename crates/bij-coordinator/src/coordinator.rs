//! The loop: observe, decide, execute.
//!
//! The [`Coordinator`] is a plain value with one owner. Each of its parts has one task:
//! - `catch_up` and `observe` read: what others have written to the store, the units, the machine. They change
//!   nothing but the copy of what they have read.
//! - [`policy`](crate::policy) decides what to do, and `plan` what a request changes: pure
//!   functions of that copy.
//! - `execute` is the only part that writes to the store and starts or stops units.
//!
//! Everything is level-triggered: after an interruption of any length, the next [`tick`](Coordinator::tick)
//! finds what is to be done. What has to be read or decided anew is one value, `Outdated`.
//!
//! # Store first
//! The coordinator keeps a copy of what the store holds. A change goes into the store first, then into the
//! copy, then to the units; a change that the store does not take has not been decided. Changes by hooks
//! come back as [events](bij_core::queue::Event), which are read before every decision.
//!
//! # Operations under way
//! A start or a stop takes as long as the unit takes, and a starting unit calls back into
//! [`admit`](Coordinator::admit). So a tick waits for neither: they are under way until
//! [`next_finished`](Coordinator::next_finished) returns the result of one.

mod admit;
mod catch_up;
mod definitions;
mod execute;
mod observe;
mod outdated;
mod queries;
mod reports;
mod requests;
#[cfg(test)]
mod tests;
mod thermal;
mod trouble;
mod under_way;

use std::collections::BTreeMap;

use bij_core::port::{Board, Change, LedgerError};
use bij_core::queue::{EventKind, GoingDown, Queue};
use bij_core::{BootId, Bytes, CoordinatorSettings, ExperimentId, InvocationId, Timestamp, Uptime};

pub use reports::PowerSwitchOutcome;
pub use under_way::Finished;

use crate::policy::{Action, Decision, Observation, State, UntrackedUnit, corrections, decide};
use crate::{Adapters, Now, Ports};
use outdated::Outdated;
use trouble::{TroubleSource, Troubles};
use under_way::UnderWay;

/// Decides which runs start and which units stop, and carries the decisions out.
pub struct Coordinator<P: Ports> {
    adapters: Adapters<P>,
    state: State,
    seen: Observation,
    /// What must be read or decided anew.
    outdated: Outdated,
    /// Sequence number of the newest event that has been applied.
    seq: u64,
    /// Sequence number of the newest event when the queue was read as a whole.
    loaded_at: u64,
    under_way: UnderWay,
    /// Units that were admitted although that could not be recorded.
    admitted_unrecorded: BTreeMap<ExperimentId, UnrecordedAdmission>,
    /// Invocations whose start was refused or whose skip was handled, and the uptime until which each is kept.
    refused: BTreeMap<InvocationId, Uptime>,
    health_due: Uptime,
    /// Uptime of the next search for unclosed attempts.
    unclosed_due: Option<Uptime>,
    /// Events that are not in the store yet, oldest first.
    unrecorded: Vec<(Change, Timestamp)>,
    /// Settings from the definitions of experiments that are or were up.
    running_settings: BTreeMap<ExperimentId, definitions::RunningSettings>,
    /// Last reported use of the GPU's memory.
    gpu_memory: Option<Result<BTreeMap<ExperimentId, Bytes>, String>>,
    troubles: Troubles,
    since: Timestamp,
    /// User whose own coordinator this is; `None` for the machine's.
    owner: Option<u32>,
}

/// A start that was admitted although that could not be recorded.
#[derive(Debug)]
struct UnrecordedAdmission {
    unit: UntrackedUnit,
    /// Uptime until which the unit counts as starting.
    until: Uptime,
}

/// Bound on the decisions of one tick. A decision is followed by another until no action is left; the next
/// tick continues after this many.
const MAX_ROUNDS: usize = 8;

/// Data of an event.
type EventData = BTreeMap<String, String>;

impl<P: Ports> Coordinator<P> {
    /// Reads the queue from the store. No unit is touched before the first [`tick`](Self::tick).
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
            outdated: Outdated::everything(),
            seq: 0,
            loaded_at: 0,
            under_way: UnderWay::default(),
            admitted_unrecorded: BTreeMap::new(),
            refused: BTreeMap::new(),
            health_due: now.uptime,
            unclosed_due: None,
            unrecorded: Vec::new(),
            running_settings: BTreeMap::new(),
            gpu_memory: None,
            troubles: Troubles::default(),
            since: now.at,
            owner: None,
        };
        coordinator.load()?;
        coordinator.note(EventKind::CoordinatorStarted, None, []);
        Ok(coordinator)
    }

    /// Makes this the coordinator of one user, who may add to a run whatever root may.
    #[must_use]
    pub fn owned_by(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// Observes, decides, and carries the decision out.
    ///
    /// It does not fail: an error becomes a trouble in [`status`](Self::status), and the operation is tried
    /// again at [`next_tick_due`](Self::next_tick_due). If nothing has happened and nothing is due, it does
    /// nothing.
    pub async fn tick(&mut self, now: Now) {
        self.seen.now = now;
        self.decide_and_execute().await;
        // Last, so that a failing store is not tried twice.
        self.record_notes();
    }

    async fn decide_and_execute(&mut self) {
        let now = self.seen.now;
        for _ in 0..MAX_ROUNDS {
            self.observe_units().await;
            if !self.catch_up() {
                return;
            }
            if !self.outdated.knows_all_units() {
                if self.troubles.is_waiting(TroubleSource::Bus, now.uptime) {
                    return;
                }
                continue;
            }
            if !self.outdated.is_decision_due()
                && self.next_tick_due().is_none_or(|due| now.uptime < due)
            {
                return;
            }
            self.measure_vitals();
            let (actions, has_read_all) = self.decide();
            self.seen.vitals.clear();
            self.outdated.have_decided();
            if !has_read_all {
                // What the store could not tell may let a run start.
                self.outdated.only_decision();
            }
            if actions.is_empty() || !self.execute(actions) {
                return;
            }
            // A freed slot must not wait for further decisions.
            self.under_way.poll_all().await;
        }
    }

    /// Observes everything but the units, and decides from that. Also returns whether the store could tell all.
    fn decide(&mut self) -> (Vec<Action>, bool) {
        let has_read_all = self.observe_everything_else();
        self.correct(&corrections(&self.state, &self.seen));
        let Decision { actions, report } = decide(&self.state, &self.seen);
        self.take_report(report);
        (actions, has_read_all)
    }

    /// Returns the uptime at which the next tick is due without any event; `None` if none is.
    pub fn next_tick_due(&self) -> Option<Uptime> {
        let is_due = self.outdated.is_decision_due() || !self.outdated.knows_all_units();
        if is_due && self.troubles.next_try().is_none() {
            return Some(self.seen.now.uptime);
        }
        let report = self.state.last.as_ref().and_then(|report| report.next_decision);
        let is_anything_up = self.state.up().next().is_some();
        let health = is_anything_up.then_some(self.health_due);
        let unrecorded = self.admitted_unrecorded.values().map(|unit| unit.until).min();
        let due = [report, health, unrecorded, self.unclosed_due, self.troubles.next_try()];
        let due = due.into_iter().flatten().min()?;
        // Ticks before a failed operation may be tried again would find nothing to do.
        Some(self.troubles.last_try().map_or(due, |again| due.max(again)))
    }

    /// Notes that the service manager has reported a change of an experiment's unit, which is read in the next
    /// tick. A decision follows only if the change matters to one.
    pub fn unit_changed(&mut self, experiment: ExperimentId) {
        self.outdated.check_units([experiment]);
    }

    /// Notes that a shutdown has begun, or was cancelled. Nothing is started during a shutdown; starts from
    /// elsewhere are judged as always.
    pub fn set_going_down(&mut self, what: GoingDown, is_going_down: bool) {
        let changed = if is_going_down {
            self.seen.going_down.insert(what)
        } else {
            self.seen.going_down.remove(&what)
        };
        if changed {
            self.outdated.decision();
        }
    }

    /// Notes that signals of the service manager may have been lost: everything is read anew in the next tick.
    pub fn resync(&mut self) {
        self.outdated = Outdated::everything();
    }
}
