//! The board's power mode: what is told of it, and who may switch it when.

use bij_core::queue::EventKind;

use super::Coordinator;
use crate::policy::{PowerSeen, is_free_for};
use crate::{Now, Ports};

impl<P: Ports> Coordinator<P> {
    /// The power mode that the board is to be switched to, if any.
    pub fn power_wish(&self) -> Option<u32> {
        self.state.last.as_ref().and_then(|report| report.power_wish)
    }

    /// Whoever switches the board is about to: says whether it still may. If so, nobody who wants
    /// another mode is let start before [`power`](Self::power) tells what has come of it.
    pub fn begin_power_switch(&mut self, to: u32) -> bool {
        let may = self.power_wish() == Some(to) && is_free_for(&self.state, &self.seen, to);
        if may {
            self.seen.power.switching = Some(to);
            self.report_is_fresh = false;
            self.undecided = true;
        }
        may
    }

    /// The board's power modes are so now; `told` is what a switch has come to, for people.
    pub fn power(&mut self, power: PowerSeen, told: Option<(String, String)>, now: Now) {
        self.seen.now = now;
        if let Some((mode, text)) = told {
            let data = [("mode", mode), ("text", text)];
            self.note(EventKind::PowerMode, None, data, now);
        }
        if power != self.seen.power {
            self.seen.power = power;
            self.report_is_fresh = false;
            self.undecided = true;
        }
    }
}
