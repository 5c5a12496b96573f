//! The board's power mode and clocks: reports about them, and permission to switch.

use bij_core::queue::EventKind;

use super::Coordinator;
use crate::policy::{PowerModeStatus, PowerTarget, blocking_run, is_free_for};
use crate::{Now, Ports, RequestError};

/// Result of a switch of the power mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerSwitchOutcome {
    /// Mode that was switched to.
    pub mode: u32,
    /// What happened, as a fragment for people.
    pub text: String,
    /// Requester; `None` if the switch was for a run.
    pub by: Option<String>,
}

impl<P: Ports> Coordinator<P> {
    /// Returns the power mode and clocks that the board should have.
    pub fn power_target(&self) -> PowerTarget {
        self.state.last.as_ref().map(|report| report.power_target.clone()).unwrap_or_default()
    }

    /// Asks for permission to switch to the mode that [`power_target`](Self::power_target) names. If it is
    /// granted, no run with another mode starts until [`power`](Self::power) reports the result.
    pub fn begin_power_switch(&mut self, to: u32) -> bool {
        let may = self.power_target().mode == Some(to) && is_free_for(&self.state, &self.seen, to);
        if may {
            self.power_switch_begins(to);
        }
        may
    }

    /// Asks for permission to switch on an operator's request; the same as
    /// [`begin_power_switch`](Self::begin_power_switch), but regardless of the waiting runs.
    ///
    /// # Errors
    /// [`RequestError::PowerInUse`] if a run that is up needs another mode.
    pub fn begin_power_set(&mut self, to: u32) -> Result<(), RequestError> {
        if let Some((run, wanted)) = blocking_run(&self.state, &self.seen, to) {
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

    /// Takes a report of the board's power modes, with the result of a switch if there was one.
    pub fn power(&mut self, power: PowerModeStatus, outcome: Option<PowerSwitchOutcome>, now: Now) {
        self.seen.now = now;
        if let Some(PowerSwitchOutcome { mode, text, by }) = outcome {
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

    /// Records that the board's clocks are held at their maximum, or released, or that this failed, as `text`
    /// says.
    pub fn clocks(&mut self, text: String, now: Now) {
        self.note(EventKind::Clocks, None, [("text", text)], now);
    }
}
