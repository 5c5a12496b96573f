//! A ledger in memory, with its queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::queue::NewEvent;
use bij_core::{Attempt, AttemptKey, BootId, ExperimentId, History, Outcome, Tally, Timestamp};

use crate::queue::MemoryQueue;

/// A ledger and its queue in memory; clones share one ledger.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    state: Arc<Mutex<LedgerState>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerState {
    pub(crate) histories: BTreeMap<ExperimentId, History>,
    /// All attempts, in the order in which they were opened.
    order: Vec<AttemptKey>,
    /// The experiment of each attempt.
    owners: BTreeMap<AttemptKey, ExperimentId>,
    clean: BTreeSet<BootId>,
    pub(crate) queue: MemoryQueue,
    fault: Option<LedgerFault>,
}

/// A failure of a ledger in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerFault {
    /// Another writer does not finish.
    Busy,
    /// The disk is full.
    Full,
    /// The file may not be written.
    Denied,
    /// The file is damaged and cannot be read either.
    Corrupt,
}

impl MemoryLedger {
    /// Fails every write until the fault is removed.
    pub fn fail(&self, fault: Option<LedgerFault>) {
        self.state().fault = fault;
    }

    /// Returns another ledger with the same contents and no fault.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = LedgerState { fault: None, ..self.state().clone() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, LedgerState> {
        // A panic of a contract's clause is reported by the test itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn readable(&self) -> Result<MutexGuard<'_, LedgerState>, LedgerError> {
        let state = self.state();
        match state.fault {
            Some(LedgerFault::Corrupt) => Err(LedgerError::Corrupt("injected fault".into())),
            Some(LedgerFault::Busy | LedgerFault::Full | LedgerFault::Denied) | None => Ok(state),
        }
    }

    pub(crate) fn writable(&self) -> Result<MutexGuard<'_, LedgerState>, LedgerError> {
        let state = self.readable()?;
        match state.fault {
            None | Some(LedgerFault::Corrupt) => Ok(state),
            Some(LedgerFault::Busy) => Err(LedgerError::Busy("injected fault".into())),
            Some(LedgerFault::Full) => Err(LedgerError::Full("injected fault".into())),
            Some(LedgerFault::Denied) => Err(LedgerError::Denied("injected fault".into())),
        }
    }
}

impl LedgerState {
    /// Returns whether the attempt is known. It is an error if it belongs to another experiment.
    fn knows(&self, key: AttemptKey, experiment: &ExperimentId) -> Result<bool, LedgerError> {
        match self.owners.get(&key) {
            Some(owner) if owner != experiment => {
                Err(LedgerError::Claimed { owner: owner.clone() })
            }
            known => Ok(known.is_some()),
        }
    }

    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        let Opening { experiment, key, at, uptime: _, start: _ } = opening;
        let known = self.knows(*key, experiment)?;
        let history = self.histories.entry(experiment.clone()).or_default();
        let (highest, ended) = (history.highest(), history.run_ends().clone());
        let opened = history.open(opening, self.queue.next_position());
        if !known {
            self.order.push(*key);
            self.owners.insert(*key, experiment.clone());
            self.queue.record_run_ends(experiment, &ended, history, *at);
            let begun = history.attempt(*key).map(NewEvent::attempt_begun);
            self.queue.record(begun, *at);
        }
        if history.highest() != highest {
            self.queue.take_position();
        }
        Ok(opened)
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        let Closing { experiment, key, end, .. } = closing;
        if !self.knows(*key, experiment)? {
            self.open(&closing.to_opening())?;
        }
        let history = self.histories.entry(experiment.clone()).or_default();
        let ended = history.run_ends().clone();
        let outcome = history.close(closing, self.queue.next_position());
        if outcome == Outcome::Changed {
            let events = history.attempt(*key).map(|it| NewEvent::attempt_ended(it, end));
            self.queue.record(events, end.at);
            self.queue.record_run_ends(experiment, &ended, history, end.at);
        }
        Ok(outcome)
    }
}

impl Ledger for MemoryLedger {
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        self.writable()?.open(opening)
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        self.writable()?.close(closing)
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        let state = self.readable()?;
        let AttemptQuery { experiment, run, newest, skip_newest, open } = query;
        let is_wanted = |attempt: &&Attempt| {
            run.is_none_or(|number| attempt.run.number == number)
                && (!open || attempt.end.is_none())
        };
        let at_most = newest.unwrap_or(usize::MAX);
        let mut chosen: Vec<Attempt> = if let Some(id) = experiment {
            // A history is already in order.
            let attempts = state.histories.get(id).map(History::attempts).unwrap_or_default();
            attempts
                .iter()
                .rev()
                .filter(is_wanted)
                .skip(*skip_newest)
                .take(at_most)
                .cloned()
                .collect()
        } else {
            let all = state
                .order
                .iter()
                .rev()
                .filter_map(|key| state.histories.get(state.owners.get(key)?)?.attempt(*key));
            all.filter(is_wanted).skip(*skip_newest).take(at_most).cloned().collect()
        };
        chosen.reverse();
        Ok(chosen)
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        let state = self.readable()?;
        Ok(state.histories.get(experiment).map(History::tally).unwrap_or_default())
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        let state = self.readable()?;
        // An experiment that has only waited has no history yet.
        let with_attempts =
            state.histories.iter().filter(|(_, history)| !history.attempts().is_empty());
        Ok(with_attempts.map(|(id, history)| (id.clone(), history.tally())).collect())
    }

    fn mark_clean_shutdown(&mut self, boot: BootId, _: Timestamp) -> Result<Outcome, LedgerError> {
        let added = self.writable()?.clean.insert(boot);
        Ok(if added { Outcome::Changed } else { Outcome::Unchanged })
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        Ok(self.readable()?.clean.contains(&boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{
        ledger_contract, ledger_fixture as fixture, run_queue_contract, shared_ledger_contract,
        shared_run_queue_contract,
    };

    #[test]
    fn it_keeps_the_contract() {
        ledger_contract(MemoryLedger::default);
        let one = MemoryLedger::default();
        shared_ledger_contract(|| one.clone());
        run_queue_contract(MemoryLedger::default);
        let one = MemoryLedger::default();
        shared_run_queue_contract(|| one.clone());
    }

    #[test]
    fn the_ledger_fails_with_a_fault_and_recovers() {
        let mut ledger = MemoryLedger::default();
        let opening = fixture::fresh("x", 1, 1);
        ledger.fail(Some(LedgerFault::Busy));
        assert!(ledger.open(&opening).unwrap_err().is_transient());
        assert_eq!(ledger.tally(&opening.experiment).unwrap(), Tally::default());
        ledger.fail(None);
        assert_eq!(ledger.open(&opening).unwrap().attempt.0, 1);
    }
}
