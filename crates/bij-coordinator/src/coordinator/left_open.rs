//! Attempts whose unit is down and whose end nobody has recorded: their `end` hook was killed, or
//! could not run.

use bij_core::port::{AttemptQuery, Handover, Ledger, LedgerError};
use bij_core::queue::EventKind;
use bij_core::{Attempt, TimeSpan, error_chain};

use super::Coordinator;
use super::trouble::With;
use crate::Ports;

/// So long after a unit went down what it left open is looked for: who supervises it, or has set
/// the record aside, may still be about to tell.
const PATIENCE: TimeSpan = TimeSpan::from_secs(5);

impl<P: Ports> Coordinator<P> {
    /// A unit is down, or may be: what is left open is looked for in a while.
    pub(super) fn expect_left_open(&mut self) {
        let due = self.seen.now.uptime.as_micros().saturating_add(PATIENCE.as_micros());
        self.left_open_due.get_or_insert(TimeSpan::from_micros(due));
    }

    /// Closes what is left open, if it is time to.
    pub(super) fn close_left_open(&mut self) {
        if self.left_open_due.is_none_or(|due| self.seen.now.uptime < due) {
            return;
        }
        self.left_open_due = None;
        if let Err(error) = self.try_to_close() {
            self.troubles.met(With::Store, &error, self.seen.now);
            self.expect_left_open();
        }
    }

    fn try_to_close(&mut self) -> Result<(), LedgerError> {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        let open = self.adapters.store.attempts(&query)?;
        let left: Vec<Attempt> =
            open.into_iter().filter(|attempt| self.is_left_open(attempt)).collect();
        for attempt in &left {
            let experiment = &attempt.run.experiment;
            let found = self.adapters.handover.find_end(attempt, self.seen.now.at);
            let Some(mut closing) = found else { continue };
            let unit = self.seen.units.get(experiment);
            closing.end.evidence.restarts = unit.and_then(|unit| unit.restarts);
            self.adapters.store.close(&closing)?;
            let is_over = self.adapters.store.tally(experiment)?.last_run_end.is_some();
            // As its `end` would have done; what stays there holds for the next run.
            if is_over && let Err(error) = self.adapters.handover.extras(experiment, "") {
                let data = [("action", "end".to_owned()), ("text", error_chain(&error))];
                self.note(EventKind::ActionFailed, Some(&attempt.run), data, self.seen.now);
            }
        }
        if !left.is_empty() {
            self.catch_up();
        }
        Ok(())
    }

    /// An attempt of another boot is closed by whoever boots, and one that goes on by its own hook.
    fn is_left_open(&self, attempt: &Attempt) -> bool {
        let experiment = &attempt.run.experiment;
        attempt.key.boot == self.state.boot
            && !self.seen.is_up(experiment)
            && !self.seen.is_coming_up(experiment)
            && !self.state.busy.contains_key(experiment)
            && !self.let_in.contains_key(experiment)
    }
}
