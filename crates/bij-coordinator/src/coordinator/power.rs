//! The board's power mode and clocks: what is told of them, and who may switch it when.

use bij_core::queue::EventKind;

use super::Coordinator;
use crate::policy::{PowerSeen, PowerWish, in_the_way, is_free_for};
use crate::{Now, Ports, RequestError};

/// What a switch has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerTold {
    /// To which mode.
    pub mode: u32,
    /// A fragment without a full stop, for people.
    pub text: String,
    /// Who has asked for it; nobody if it was for a run.
    pub by: Option<String>,
}

impl<P: Ports> Coordinator<P> {
    /// How the board is to be.
    pub fn power_wish(&self) -> PowerWish {
        self.state.last.as_ref().map(|report| report.power_wish.clone()).unwrap_or_default()
    }

    /// Whoever switches the board is about to: says whether it still may. If so, nobody who wants
    /// another mode is let start before [`power`](Self::power) tells what has come of it.
    pub fn begin_power_switch(&mut self, to: u32) -> bool {
        let may = self.power_wish().mode == Some(to) && is_free_for(&self.state, &self.seen, to);
        if may {
            self.power_switch_begins(to);
        }
        may
    }

    /// Somebody wants the board switched by hand: as [`begin_power_switch`](Self::begin_power_switch),
    /// whatever those that wait want.
    ///
    /// # Errors
    /// [`RequestError::PowerInUse`] if one that is up wants another mode.
    pub fn begin_power_set(&mut self, to: u32) -> Result<(), RequestError> {
        if let Some((run, wanted)) = in_the_way(&self.state, &self.seen, to) {
            return Err(RequestError::PowerInUse { run, wanted });
        }
        self.power_switch_begins(to);
        Ok(())
    }

    fn power_switch_begins(&mut self, to: u32) {
        self.seen.power.switching = Some(to);
        self.report_is_fresh = false;
        self.undecided = true;
    }

    /// The board's power modes are so now; `told` is what a switch has come to.
    pub fn power(&mut self, power: PowerSeen, told: Option<PowerTold>, now: Now) {
        self.seen.now = now;
        if let Some(PowerTold { mode, text, by }) = told {
            let (kind, mode) = (EventKind::PowerMode, mode.to_string());
            match by {
                None => self.note(kind, None, [("mode", mode), ("text", text)], now),
                Some(by) => {
                    self.note(kind, None, [("mode", mode), ("text", text), ("by", by)], now);
                }
            }
        }
        if power != self.seen.power {
            self.seen.power = power;
            self.report_is_fresh = false;
            self.undecided = true;
        }
    }

    /// The board's clocks are held at their highest, or let go, or that could not be done; `text` says
    /// which, for people.
    pub fn clocks(&mut self, text: String, now: Now) {
        self.note(EventKind::Clocks, None, [("text", text)], now);
    }
}
