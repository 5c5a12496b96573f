//! A machine that exists in memory only: units with their hooks, a store, clocks, a board, power.
//!
//! It knows nothing of a coordinator. Whoever drives it lets time pass, answers the hooks that ask
//! for admission, and may cut the power at any moment.

mod definitions;
mod hooks;
mod journal;
mod store;

use bij_core::port::Ledger;
use bij_core::{BootId, Bytes, RecoveredEnd, TimeSpan, Timestamp, close_other_boots};

pub use definitions::{SimDefinitions, SimHandover};
pub use store::SimStore;

use crate::{Hook, SimBoard, SimClock, SimUnits, UnitFault};
use journal::SimJournal;

/// A machine with everything on it but a coordinator.
#[derive(Debug)]
pub struct Machine {
    /// Its service manager.
    pub units: SimUnits,
    /// Its store, which outlives its boots.
    pub store: SimStore,
    /// Its clocks.
    pub clock: SimClock,
    /// Its hardware.
    pub board: SimBoard,
    /// Its definitions.
    pub definitions: SimDefinitions,
    /// Its runtime directory, which does not outlive its boot.
    pub handover: SimHandover,
    /// How lives ended whose `end` was killed, and when.
    journal: SimJournal,
    boots: u64,
    going_down: bool,
}

impl Machine {
    /// A machine with so much memory, at its first boot.
    pub fn new(memory: Bytes, at: Timestamp) -> Self {
        let units = SimUnits::default().attended();
        let journal = SimJournal::default();
        Self {
            board: SimBoard::new(memory, units.clone()),
            units,
            store: SimStore::default(),
            clock: SimClock::at_boot(at),
            definitions: SimDefinitions::default(),
            handover: SimHandover::reading(journal.clone()),
            journal,
            boots: 1,
            going_down: false,
        }
    }

    /// This boot.
    pub fn boot_id(&self) -> BootId {
        BootId::from_bytes(u128::from(self.boots).to_be_bytes())
    }

    /// Whether it is being shut down in good order.
    pub const fn is_going_down(&self) -> bool {
        self.going_down
    }

    /// Lets time pass.
    pub fn advance(&self, span: TimeSpan) {
        self.clock.advance(span);
        self.units.advance(span);
    }

    /// Begins to go down in good order: every unit is told to leave, and nothing starts any more.
    pub fn begin_to_go_down(&mut self) {
        self.going_down = true;
        self.units.set_fault(Some(UnitFault::GoingDown));
        self.units.stop_all();
    }

    /// Whether all units are down.
    pub fn is_down(&self) -> bool {
        self.units.hooks().is_empty() && self.units.up().is_empty()
    }

    /// Goes down in good order, when all units are down, and marks that. Hooks that still ask for
    /// admission are not heard.
    pub fn go_down(&mut self) {
        // A store that does not take it makes a power cut of it.
        let _ = self.store.mark_clean_shutdown(self.boot_id(), self.clock.at());
        self.cut_power();
    }

    /// The machine is gone from one moment to the next. What was written stays.
    pub fn cut_power(&mut self) {
        self.units.cut_power();
        self.store.lose_spool();
        self.handover.lose_all();
    }

    /// Boots anew: what other boots left open is closed. What is enabled is started by
    /// [`SimUnits::start_enabled`], when the coordinator's socket is there.
    pub fn boot(&mut self) {
        self.boots += 1;
        self.going_down = false;
        self.clock.reboot();
        self.units.set_fault(None);
        let (here, now) = (self.boot_id(), self.clock.at());
        // The next `begin` tries again.
        let _ = close_other_boots(&mut self.store, here, now, |_| RecoveredEnd::default());
    }

    /// Has every hook but those that ask for admission run and leave; says whether there was any.
    pub fn run_other_hooks(&mut self) -> bool {
        let calls = self.units.hooks();
        let others = calls.iter().filter(|call| call.hook != Hook::Admit);
        others.map(|call| self.run_hook(call)).count() > 0
    }
}

#[cfg(test)]
mod tests;
