//! Closes attempts whose unit is down and whose end is not recorded, because the `end` hook was killed or
//! could not run.

use bij_core::port::{AttemptQuery, Handover, Ledger, LedgerError};
use bij_core::queue::EventKind;
use bij_core::{Attempt, TimeSpan, error_chain};

use super::Coordinator;
use super::trouble::TroubleSource;
use crate::Ports;

/// Delay after a unit went down before its unclosed attempt is closed here: its supervisor, or a record set
/// aside on disk, may still report the end.
const CLOSING_DELAY: TimeSpan = TimeSpan::from_secs(5);

impl<P: Ports> Coordinator<P> {
    /// Schedules a search for unclosed attempts, because a unit is down or may be.
    pub(super) fn schedule_unclosed_search(&mut self) {
        self.unclosed_due.get_or_insert(self.seen.now.uptime + CLOSING_DELAY);
    }

    /// Closes unclosed attempts, if a search is due.
    pub(super) fn close_unclosed(&mut self) {
        if self.unclosed_due.is_none_or(|due| self.seen.now.uptime < due) {
            return;
        }
        self.unclosed_due = None;
        if let Err(error) = self.try_to_close() {
            self.troubles.record(TroubleSource::Store, &error, self.seen.now);
            self.schedule_unclosed_search();
        }
    }

    fn try_to_close(&mut self) -> Result<(), LedgerError> {
        let query = AttemptQuery { open: true, ..AttemptQuery::default() };
        let open = self.adapters.store.attempts(&query)?;
        let left: Vec<Attempt> =
            open.into_iter().filter(|attempt| self.is_unclosed(attempt)).collect();
        for attempt in &left {
            let experiment = &attempt.run.experiment;
            let found = self.adapters.handover.find_end(attempt, self.seen.now.at);
            let Some(mut closing) = found else { continue };
            let unit = self.seen.units.get(experiment);
            closing.end.evidence.restarts = unit.and_then(|unit| unit.restarts);
            self.adapters.store.close(&closing)?;
            let is_over = self.adapters.store.tally(experiment)?.last_run_end.is_some();
            // As the `end` hook would have done: extras that stay apply to the next run.
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

    /// Returns whether an attempt is unclosed. Attempts of other boots are closed at boot, and an attempt whose
    /// unit is up will be closed by its own hook.
    fn is_unclosed(&self, attempt: &Attempt) -> bool {
        let experiment = &attempt.run.experiment;
        attempt.key.boot == self.state.boot
            && !self.seen.is_up(experiment)
            && !self.seen.is_coming_up(experiment)
            && !self.state.busy.contains_key(experiment)
            && !self.admitted_unrecorded.contains_key(experiment)
    }
}
