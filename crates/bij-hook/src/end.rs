//! `bij-hook end`: decides why the attempt ended, and closes it.
//!
//! systemd runs it after every invocation of the unit, including those without an attempt: a condition that
//! skipped the start, or a start that `begin` refused. They leave no record.

mod evidence;

use bij_core::port::{AttemptQuery, Closing, DefinitionSource, FindError, Ledger, LedgerError};
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, Cause, ExperimentId, InvocationId, Limit,
    Outcome, RunEnd, RunId, RunNumber, ServiceResult, Timestamp,
};
use bij_host::{HostContextError, files, logged, uptime};
use bij_systemd::experiment::UnitFacts;
use thiserror::Error;

use crate::attempt_record::AttemptRecord;
use crate::render::remove_drop_in;
use crate::start_limit::{ClockReading, attempts_in_boot, is_reached};
use crate::{HookContext, HookJournal, HookManager, describe_end};

/// Enough lines for a Python traceback with its last frames.
const LINES_KEPT: usize = 20;
const CHARACTERS_KEPT: usize = 300;

/// What [`HookContext::end`] did.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// This invocation of the unit had no attempt.
    Nothing,
    /// The attempt is closed; [`Outcome::Unchanged`] if it was closed already.
    Closed(Box<AttemptEnd>, Outcome),
}

/// Why an end could not be recorded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndError {
    /// The hook was not called by a service manager.
    #[error("$INVOCATION_ID is not set: systemd calls this hook, it cannot be called by hand")]
    NoInvocation,
    /// The boot of the attempt is unknown.
    #[error("cannot identify the attempt")]
    HostContext(#[from] HostContextError),
    /// The end could not be recorded. The next start recovers it from the journal.
    #[error("cannot write to the ledger")]
    Ledger(#[from] LedgerError),
}

/// The attempt that this invocation of the unit ends.
struct OpenAttempt {
    run: Option<RunId>,
    number: Option<AttemptNumber>,
    started: Timestamp,
    record: Option<AttemptRecord>,
}

impl<D: DefinitionSource, L: Ledger, M: HookManager, J: HookJournal> HookContext<'_, D, L, M, J> {
    /// Ends the attempt of an experiment.
    ///
    /// # Errors
    /// [`EndError`] if the end was recorded nowhere.
    pub fn end(self, id: &ExperimentId) -> Result<Ended, EndError> {
        // The environment holds secrets, so it is removed even if there was no attempt.
        let layout = self.host.layout();
        for path in [layout.sealed_environment(id), layout.environment(id)] {
            logged(files::remove(&path), "cannot remove the environment of the attempt");
        }
        let invocation = self.env.invocation.ok_or(EndError::NoInvocation)?;
        let key = AttemptKey { boot: self.host.boot()?, invocation };
        // A skipped start has no record. If there is one, the result was forged by the unit.
        let was_skipped = self.env.service_result == Some(ServiceResult::ExecCondition);
        if was_skipped && self.read_record(id, key).is_none() {
            return Ok(Ended::Nothing);
        }
        let Some(attempt) = self.find_attempt(id, key) else {
            log::debug!(BIJ_EXPERIMENT:% = id; "this invocation of the unit had no attempt");
            return Ok(Ended::Nothing);
        };
        let facts = logged(self.manager.facts(id), "cannot read the state of the unit");
        let evidence = self.gather_evidence(id, &attempt, facts.as_ref());
        let ready = facts.as_ref().and_then(|facts| facts.ready);
        let mut end = AttemptEnd { at: self.host.now(), cause: evidence.prove(), evidence };
        if end.is_crash() {
            end.evidence.last_lines = self.last_lines(id, invocation);
        }
        let closing = Closing {
            experiment: id.clone(),
            key,
            ready,
            end: end.clone(),
            started: attempt.started,
        };
        let outcome = self.ledger.close(&closing)?;
        log_end(id, &attempt, &end);
        self.prevent_restart(id, &end);
        // The manager may answer now.
        let facts = facts.or_else(|| logged(self.manager.facts(id), "cannot read the start limit"));
        if let Some(facts) = &facts {
            self.enforce_start_limit(id, key, &attempt, &end, facts);
        }
        self.remove_requests(id, &end);
        self.remove_orphaned_drop_in(id);
        Ok(Ended::Closed(Box::new(end), outcome))
    }

    /// Returns the last lines that the experiment printed, each cut to [`CHARACTERS_KEPT`].
    fn last_lines(&self, id: &ExperimentId, invocation: InvocationId) -> Vec<String> {
        let read = self.journal.last_lines(id, invocation, LINES_KEPT);
        let lines = logged(read, "cannot read the last lines of the attempt").unwrap_or_default();
        lines.into_iter().map(|line| line.chars().take(CHARACTERS_KEPT).collect()).collect()
    }

    /// Returns the attempt that `begin` opened in this invocation of the unit, from its record or the ledger.
    fn find_attempt(&self, id: &ExperimentId, key: AttemptKey) -> Option<OpenAttempt> {
        if let Some(record) = self.read_record(id, key) {
            return Some(OpenAttempt {
                run: record.run(id),
                number: record.numbers.map(|numbers| numbers.attempt),
                started: record.started,
                record: Some(record),
            });
        }
        let query = AttemptQuery {
            experiment: Some(id.clone()),
            newest: Some(1),
            ..AttemptQuery::default()
        };
        let newest = logged(self.ledger.attempts(&query), "cannot read the ledger")?;
        let Attempt { run, number, started, .. } =
            newest.into_iter().find(|attempt| attempt.key == key)?;
        Some(OpenAttempt { run: Some(run), number: Some(number), started, record: None })
    }

    /// Returns the record that `begin` wrote in this invocation of the unit.
    fn read_record(&self, id: &ExperimentId, key: AttemptKey) -> Option<AttemptRecord> {
        AttemptRecord::read(self.host.layout(), id).filter(|record| record.key == key)
    }

    /// Stops a unit whose run has succeeded although systemd takes this end for a failure: the main process
    /// exited successfully, but processes that it left behind did not stop in time.
    fn prevent_restart(&self, id: &ExperimentId, end: &AttemptEnd) {
        let is_failure = self.env.service_result != Some(ServiceResult::Success);
        if is_failure && end.cause == Cause::Success && end.evidence.left_by_itself {
            logged(self.manager.stop(id), "cannot prevent a restart, although the run is over");
        }
    }

    /// Stops a unit that has used up its starts. systemd counts starts itself, but forgets the count at each reload.
    fn enforce_start_limit(
        &self,
        id: &ExperimentId,
        key: AttemptKey,
        attempt: &OpenAttempt,
        end: &AttemptEnd,
        facts: &UnitFacts,
    ) {
        let comes_back = RunEnd::after(end).is_none() && end.evidence.order.is_none();
        let Some(run) = attempt.run.as_ref().filter(|_| comes_back) else { return };
        let delay = facts.restart_delay.and_then(Limit::at).unwrap_or_default();
        let clock = ClockReading { boot: key.boot, now: self.host.now(), uptime: uptime() };
        let attempts = attempts_in_boot(self.ledger, run, key.boot);
        if is_reached(facts, &attempts, &clock, delay) {
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_RUN:% = run, BIJ_EVENT = "start-limit";
                "{id} is not restarted: it has used up its {} starts", facts.start_limit_burst
            );
            logged(self.manager.stop(id), "cannot prevent a restart beyond the start limit");
        }
    }

    /// Returns whether this end also ends the run. Only the ledger knows: a run that was requeued while it was up
    /// goes on.
    fn is_run_over(&self, id: &ExperimentId, end: &AttemptEnd) -> bool {
        let tally = logged(self.ledger.tally(id), "cannot read the ledger");
        tally.map_or_else(|| RunEnd::after(end).is_some(), |tally| tally.last_run_end.is_some())
    }

    /// Removes the drop-in of a definition that no longer exists. Its settings stay loaded until a reload.
    fn remove_orphaned_drop_in(&self, id: &ExperimentId) {
        if matches!(self.definitions.find(id), Err(FindError::Missing { .. })) {
            let removed = remove_drop_in(&self.host.layout().drop_in(id));
            logged(removed, "cannot remove the drop-in of a deleted definition");
        }
    }

    /// Removes the requests to stop this attempt; if the run is over, also its extra settings.
    fn remove_requests(&self, id: &ExperimentId, end: &AttemptEnd) {
        let layout = self.host.layout();
        let mut obsolete = vec![layout.stop_file(id), layout.order(id)];
        let extras = layout.extras().join(format!("{id}.toml"));
        if extras.exists() && self.is_run_over(id, end) {
            obsolete.push(extras);
        }
        for path in obsolete {
            logged(files::remove(&path), "cannot remove a file of the ended attempt");
        }
    }
}

fn log_end(id: &ExperimentId, attempt: &OpenAttempt, end: &AttemptEnd) {
    let run = attempt.run.clone().unwrap_or(RunId { experiment: id.clone(), number: RunNumber(0) });
    let number = attempt.number.unwrap_or(AttemptNumber(0));
    let mut text = describe_end(&run, number, end, attempt.started);
    if attempt.run.is_none() {
        text = text.replacen(&format!("attempt 0 of {run}"), &format!("an attempt of {id}"), 1);
    }
    let crashes = match attempt.record.as_ref().and_then(|record| record.numbers) {
        Some(numbers) if end.is_crash() => {
            format!("; crash {}", numbers.crashes.saturating_add(1))
        }
        _ => String::new(),
    };
    let needs_attention = end.is_crash() || end.evidence.left_behind.is_some();
    let level = if needs_attention { log::Level::Warn } else { log::Level::Info };
    log::log!(
        level,
        BIJ_EXPERIMENT:% = id, BIJ_RUN:% = run, BIJ_ATTEMPT:% = number,
        BIJ_CAUSE:% = end.cause, BIJ_EVENT = "attempt-ended";
        "{text}{crashes}"
    );
}

#[cfg(test)]
mod tests;
