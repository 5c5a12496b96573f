//! The hooks of a simulated machine, which record attempts in the ledger, and the journal of those that were killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{AttemptQuery, Closing, Handover as _, Ledger, LedgerError, Opening};
use bij_core::{
    Attempt, AttemptKey, Evidence, ExperimentId, InvocationId, Order, OrderKind, RecoveredEnd,
    RunEnd, StartKind, TimeSpan, Timestamp, Witness, close_other_boots,
};

use super::SimMachine;
use crate::{Hook, ScriptedEnd, SimEnding, SimHookCall};

/// Time limit of an attempt.
const TIME: TimeSpan = TimeSpan::from_secs(60);
/// How many attempts `begin` searches for unclosed ones.
const SEARCH_DEPTH: usize = 16;

impl SimMachine {
    /// Runs a hook and has it succeed. `begin` and `end` write to the ledger; admission is always
    /// granted.
    pub fn run_hook(&mut self, call: &SimHookCall) {
        // An error of the ledger stops no hook: the spool keeps what it can.
        let _ = match call.hook {
            Hook::Admit => Ok(()),
            Hook::Begin => self.begin(call),
            Hook::End(ending) => self.end(call, ending),
        };
        self.units.leave(call, true);
    }

    /// Kills a hook before it has written its record. PID 1 has logged the end of the attempt.
    pub fn kill_hook(&mut self, call: &SimHookCall) {
        if let Hook::End(ending) = call.hook {
            self.journal.record(call.invocation, self.clock.at(), ending);
        }
        self.units.leave(call, true);
    }

    /// Loses the journal's entries, as a rotation does.
    pub fn lose_journal(&mut self) {
        self.journal.lose_all();
    }

    fn key(&self, call: &SimHookCall) -> AttemptKey {
        AttemptKey { boot: self.boot_id(), invocation: call.invocation }
    }

    fn recent_attempts(&self, id: &ExperimentId) -> Result<Vec<Attempt>, LedgerError> {
        let experiment = Some(id.clone());
        let query =
            AttemptQuery { experiment, newest: Some(SEARCH_DEPTH), ..AttemptQuery::default() };
        self.store.attempts(&query)
    }

    fn begin(&mut self, call: &SimHookCall) -> Result<(), LedgerError> {
        let (id, key, at) = (&call.id, self.key(call), self.clock.at());
        let recent = self.recent_attempts(id)?;
        let open = recent.iter().filter(|attempt| attempt.end.is_none() && attempt.key != key);
        for attempt in open {
            if attempt.key.boot == key.boot {
                self.store.close(&self.closing_of_unclosed(attempt, call))?;
            } else {
                close_other_boots(&mut self.store, key.boot, at, |_| RecoveredEnd::default())?;
            }
        }
        let recent = self.recent_attempts(id)?;
        let is_restart = recent.last().is_some_and(|newest| {
            newest.key.boot == key.boot
                && newest.end.as_ref().is_none_or(|end| RunEnd::after(end).is_none())
        });
        let start =
            if is_restart && call.restarts > 0 { StartKind::Restart } else { StartKind::Fresh };
        let uptime = Some(self.clock.uptime());
        self.store.open(&Opening { experiment: id.clone(), key, at, uptime, start })?;
        self.handover.clear_order(id);
        Ok(())
    }

    /// Returns the end of an attempt whose `end` hook was killed, as the next start of the same
    /// boot records it.
    fn closing_of_unclosed(&self, attempt: &Attempt, call: &SimHookCall) -> Closing {
        let recorded = self.journal.find_end_of(attempt.key.invocation);
        let (at, mut evidence) = recorded.unwrap_or_else(|| (self.clock.at(), Evidence::default()));
        evidence.witness.get_or_insert(Witness::NextStart);
        evidence.order = self.handover.order(&attempt.run.experiment);
        evidence.restarts = Some(call.restarts);
        Closing::from_evidence(attempt, at, None, evidence)
    }

    fn end(&mut self, call: &SimHookCall, ending: SimEnding) -> Result<(), LedgerError> {
        let (id, key) = (&call.id, self.key(call));
        let begun = self.recent_attempts(id)?.into_iter().find(|attempt| attempt.key == key);
        let Some(begun) = begun else { return Ok(()) };
        let mut evidence = evidence_from(ending, Witness::Hook);
        evidence.order = self.order(id, ending);
        evidence.restarts = Some(call.restarts);
        self.store.close(&Closing::from_evidence(&begun, self.clock.at(), None, evidence))?;
        if self.store.tally(id)?.last_run_end.is_some() {
            self.handover.clear_extras(id);
        }
        Ok(())
    }

    /// Returns the order that was in force when an attempt ended.
    fn order(&self, id: &ExperimentId, ending: SimEnding) -> Option<Order> {
        let was_stopped = matches!(ending, SimEnding::Stopped | SimEnding::StopTimeout);
        if self.is_shutting_down() && was_stopped {
            return Some(Order { kind: OrderKind::Shutdown, by: "the system".to_owned() });
        }
        let order = self.handover.order(id);
        order.or_else(|| was_stopped.then(|| Order::stop("systemd job stop")))
    }
}

/// Returns the evidence that PID 1 has of an ending.
pub(super) fn evidence_from(ending: SimEnding, witness: Witness) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.witness = Some(witness);
    evidence.service_result = Some(ending.result());
    evidence.exit = Some(ending.exit());
    evidence.became_ready = ending != SimEnding::ByItself(ScriptedEnd::NeverUp);
    if ending == SimEnding::ByItself(ScriptedEnd::TimeLimit) {
        // The attempt ran for exactly its time limit.
        (evidence.ran_for, evidence.time_limit) = (Some(TIME), Some(TIME));
    }
    evidence
}

/// The ends of attempts that PID 1 has logged although their hook was killed; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimJournal(Arc<Mutex<BTreeMap<InvocationId, (Timestamp, SimEnding)>>>);

impl SimJournal {
    pub(super) fn record(&self, invocation: InvocationId, at: Timestamp, ending: SimEnding) {
        self.entries().insert(invocation, (at, ending));
    }

    pub(super) fn lose_all(&self) {
        self.entries().clear();
    }

    /// Returns when and how an attempt ended, if that was logged.
    pub(super) fn find_end_of(&self, invocation: InvocationId) -> Option<(Timestamp, Evidence)> {
        let (at, ending) = self.entries().get(&invocation).copied()?;
        Some((at, evidence_from(ending, Witness::Journal)))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<InvocationId, (Timestamp, SimEnding)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
