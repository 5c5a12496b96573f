//! What the hooks do to the ledger.

use bij_core::port::{AttemptQuery, Closing, Handover as _, Ledger, LedgerError, Opening};
use bij_core::{
    Attempt, AttemptKey, Evidence, ExperimentId, Order, OrderKind, RecoveredEnd, RunEnd, StartKind,
    TimeSpan, Witness, close_other_boots,
};

use super::Machine;
use crate::{Ending, Hook, HookCall, LifeEnd};

/// How long a life lasts that may not last longer.
const TIME: TimeSpan = TimeSpan::from_secs(60);
/// `begin` looks at so many attempts.
const RECENT: usize = 16;

impl Machine {
    /// Runs `begin` or `end`, and has it leave. Whether an experiment is admitted is not for the
    /// machine to say: it goes on.
    pub fn run_hook(&mut self, call: &HookCall) {
        // Trouble with the ledger stops nothing: what can be set aside is.
        let _ = match call.hook {
            Hook::Admit => Ok(()),
            Hook::Begin => self.begin(call),
            Hook::End(ending) => self.end(call, ending),
        };
        self.units.leave(call, true);
    }

    /// The hook was killed: it leaves, and nobody has written down what it was to write. PID 1 has
    /// told the journal how the life ended.
    pub fn kill_hook(&mut self, call: &HookCall) {
        if let Hook::End(ending) = call.hook {
            self.journal.tell(call.invocation, self.clock.at(), ending);
        }
        self.units.leave(call, true);
    }

    /// The journal has lost what it was told, as one that is rotated does.
    pub fn lose_journal(&mut self) {
        self.journal.lose_all();
    }

    fn key(&self, call: &HookCall) -> AttemptKey {
        AttemptKey { boot: self.boot_id(), invocation: call.invocation }
    }

    fn recent(&self, id: &ExperimentId) -> Result<Vec<Attempt>, LedgerError> {
        let experiment = Some(id.clone());
        let query = AttemptQuery { experiment, newest: Some(RECENT), ..AttemptQuery::default() };
        self.store.attempts(&query)
    }

    fn begin(&mut self, call: &HookCall) -> Result<(), LedgerError> {
        let (id, key, at) = (&call.id, self.key(call), self.clock.at());
        let recent = self.recent(id)?;
        let open = recent.iter().filter(|attempt| attempt.end.is_none() && attempt.key != key);
        for attempt in open {
            if attempt.key.boot == key.boot {
                self.store.close(&self.found_open(attempt, call))?;
            } else {
                close_other_boots(&mut self.store, key.boot, at, |_| RecoveredEnd::default())?;
            }
        }
        let recent = self.recent(id)?;
        let brought_back = recent.last().is_some_and(|newest| {
            newest.key.boot == key.boot
                && newest.end.as_ref().is_none_or(|end| RunEnd::after(end).is_none())
        });
        let start =
            if brought_back && call.restarts > 0 { StartKind::Restart } else { StartKind::Fresh };
        let uptime = Some(self.clock.uptime());
        self.store.open(&Opening { experiment: id.clone(), key, at, uptime, start })?;
        self.handover.clear_order(id);
        Ok(())
    }

    /// The end of an attempt whose `end` was killed, as the next start in the same boot finds it.
    fn found_open(&self, attempt: &Attempt, call: &HookCall) -> Closing {
        let told = self.journal.end_of(attempt.key.invocation);
        let (at, mut evidence) = told.unwrap_or_else(|| (self.clock.at(), Evidence::default()));
        evidence.witness.get_or_insert(Witness::NextStart);
        evidence.order = self.handover.order(&attempt.run.experiment);
        evidence.restarts = Some(call.restarts);
        Closing::from_evidence(attempt, at, None, evidence)
    }

    fn end(&mut self, call: &HookCall, ending: Ending) -> Result<(), LedgerError> {
        let (id, key) = (&call.id, self.key(call));
        let begun = self.recent(id)?.into_iter().find(|attempt| attempt.key == key);
        let Some(begun) = begun else { return Ok(()) };
        let mut evidence = told_of(ending, Witness::Hook);
        evidence.order = self.order(id, ending);
        evidence.restarts = Some(call.restarts);
        self.store.close(&Closing::from_evidence(&begun, self.clock.at(), None, evidence))?;
        if self.store.tally(id)?.last_run_end.is_some() {
            self.handover.clear_extras(id);
        }
        Ok(())
    }

    /// The order that was in force when a life ended.
    fn order(&self, id: &ExperimentId, ending: Ending) -> Option<Order> {
        let was_told = matches!(ending, Ending::Stopped | Ending::StopTimeout);
        if self.is_going_down() && was_told {
            return Some(Order { kind: OrderKind::Shutdown, by: "the system".to_owned() });
        }
        let order = self.handover.order(id);
        order.or_else(|| was_told.then(|| Order::stop("systemd job stop")))
    }
}

/// What PID 1 says of how a life ended.
pub(super) fn told_of(ending: Ending, witness: Witness) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.witness = Some(witness);
    evidence.service_result = Some(ending.result());
    evidence.exit = Some(ending.exit());
    evidence.became_ready = ending != Ending::Life(LifeEnd::NeverUp);
    if ending == Ending::Life(LifeEnd::TimeLimit) {
        // It has had all the time that it may have, however long that is.
        (evidence.ran_for, evidence.time_limit) = (Some(TIME), Some(TIME));
    }
    evidence
}
