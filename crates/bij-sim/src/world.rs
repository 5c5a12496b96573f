//! A machine that exists in memory only: units with their hooks, a store, clocks, a board, power.
//!
//! It contains no coordinator. The test that drives it advances the time, answers the hooks that
//! ask for admission, and may cut the power at any moment.

mod definitions;
mod hooks;
mod store;

use bij_core::port::Ledger;
use bij_core::{BootId, Bytes, RecoveredEnd, TimeSpan, Timestamp, close_other_boots};

pub use definitions::{SimDefinitions, SimHandover};
pub use store::SimStore;

use crate::{Hook, SimBoard, SimClock, SimUnits, UnitFault};
use hooks::SimJournal;

/// A simulated machine without a coordinator.
#[derive(Debug)]
pub struct SimMachine {
    /// The service manager.
    pub units: SimUnits,
    /// The store, which outlives boots.
    pub store: SimStore,
    /// The clocks of the machine.
    pub clock: SimClock,
    /// The hardware of the machine.
    pub board: SimBoard,
    /// The definitions of experiments.
    pub definitions: SimDefinitions,
    /// The runtime directory, which a boot clears.
    pub handover: SimHandover,
    /// Ends of attempts whose `end` hook was killed.
    journal: SimJournal,
    boots: u64,
    shutting_down: bool,
}

impl SimMachine {
    /// Returns a machine with this memory, at its first boot.
    pub fn new(memory: Bytes, at: Timestamp) -> Self {
        let units = SimUnits::default().attended();
        let journal = SimJournal::default();
        Self {
            board: SimBoard::new(memory, units.clone()),
            units,
            store: SimStore::default(),
            clock: SimClock::at_boot(at),
            definitions: SimDefinitions::default(),
            handover: SimHandover::with_journal(journal.clone()),
            journal,
            boots: 1,
            shutting_down: false,
        }
    }

    /// Returns the id of the current boot.
    pub fn boot_id(&self) -> BootId {
        BootId::from_bytes(u128::from(self.boots).to_be_bytes())
    }

    /// Returns whether a clean shutdown is under way.
    pub const fn is_shutting_down(&self) -> bool {
        self.shutting_down
    }

    /// Advances the clocks and the units.
    pub fn advance(&self, span: TimeSpan) {
        self.clock.advance(span);
        self.units.advance(span);
    }

    /// Begins a clean shutdown: stops every unit and refuses new starts.
    pub fn begin_shutdown(&mut self) {
        self.shutting_down = true;
        self.units.set_fault(Some(UnitFault::GoingDown));
        self.units.stop_all();
    }

    /// Returns whether all units are down and no hook runs.
    pub fn is_down(&self) -> bool {
        self.units.hooks().is_empty() && self.units.up().is_empty()
    }

    /// Finishes a clean shutdown and records it. Hooks that still wait for admission get no answer.
    pub fn finish_shutdown(&mut self) {
        // If the store fails, the shutdown counts as a power cut.
        let _ = self.store.mark_clean_shutdown(self.boot_id(), self.clock.at());
        self.cut_power();
    }

    /// Cuts the power: units, spool and runtime directory are gone, the store stays.
    pub fn cut_power(&mut self) {
        self.units.cut_power();
        self.store.lose_spool();
        self.handover.lose_all();
    }

    /// Boots anew and closes the attempts that other boots left unclosed.
    /// [`SimUnits::start_enabled`] starts the enabled units, when the coordinator's socket is
    /// there.
    pub fn boot(&mut self) {
        self.boots += 1;
        self.shutting_down = false;
        self.clock.reboot();
        self.units.set_fault(None);
        let (here, now) = (self.boot_id(), self.clock.at());
        // If the store fails, the next `begin` tries again.
        let _ = close_other_boots(&mut self.store, here, now, |_| RecoveredEnd::default());
    }

    /// Runs every waiting hook except those that ask for admission. Returns whether there was any.
    pub fn run_other_hooks(&mut self) -> bool {
        let calls = self.units.hooks();
        let others = calls.iter().filter(|call| call.hook != Hook::Admit);
        others.map(|call| self.run_hook(call)).count() > 0
    }
}

#[cfg(test)]
mod tests;
