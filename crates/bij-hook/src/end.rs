//! `bij-hook end`: says why the attempt is over, and closes it.
//!
//! systemd runs it after every life of the unit, those included in which nothing was begun: a
//! condition that said "not now", a start that `begin` refused. Such lives leave no trace here.

mod witnesses;

use bij_core::port::{AttemptQuery, Closing, DefinitionSource, FindError, Ledger, LedgerError};
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, Cause, ExperimentId, InvocationId, Limit,
    Outcome, RunEnd, RunId, RunNumber, ServiceResult, Timestamp,
};
use bij_host::{HostContext, HostContextError, files, logged};
use thiserror::Error;

use crate::attempt_record::AttemptRecord;
use crate::begin::start_limit::{Clock, is_reached, lives_of_run};
use crate::render::remove_drop_in;
use crate::{HookEnv, Journal, Manager, sentence};

/// A traceback of Python with its last frames.
const LINES_KEPT: usize = 20;
const CHARACTERS_KEPT: usize = 300;

/// What `end` did.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// This life of the unit was no attempt.
    Nothing,
    /// The attempt is closed; whether it was open until now.
    Closed(Box<AttemptEnd>, Outcome),
}

/// Why an end could not be recorded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndError {
    /// It was not called by a service manager.
    #[error("$INVOCATION_ID is not set: this is called by systemd, not by hand")]
    NoInvocation,
    /// It does not know where it is.
    #[error("the attempt cannot be named")]
    HostContext(#[from] HostContextError),
    /// Nothing took the record. The next start makes it good from the journal.
    #[error("the attempt's end was not recorded")]
    Ledger(#[from] LedgerError),
}

/// What `end` works with.
#[derive(Debug)]
pub struct End<'a, D, L, M, J> {
    /// Where it was called.
    pub host: &'a HostContext,
    /// What systemd told it.
    pub told: &'a HookEnv,
    /// The definitions.
    pub definitions: &'a D,
    /// The ledger.
    pub ledger: &'a mut L,
    /// The service manager.
    pub manager: &'a M,
    /// The journal.
    pub journal: &'a J,
}

/// What is known of the attempt before its end is looked at.
struct Begun {
    run: Option<RunId>,
    number: Option<AttemptNumber>,
    started: Timestamp,
    record: Option<AttemptRecord>,
}

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> End<'_, D, L, M, J> {
    /// Ends the attempt of an experiment.
    ///
    /// # Errors
    /// [`EndError`] if the end was recorded nowhere.
    pub fn run(self, id: &ExperimentId) -> Result<Ended, EndError> {
        // Whatever this life was: its secrets are not kept.
        let layout = self.host.layout();
        for path in [layout.sealed_environment(id), layout.environment(id)] {
            logged(files::remove(&path), "the environment of the attempt is still there");
        }
        let invocation = self.told.invocation.ok_or(EndError::NoInvocation)?;
        let key = AttemptKey { boot: self.host.boot()?, invocation };
        // The usual end of a start that was skipped: the record alone tells whether that can be true.
        let was_skipped = self.told.service_result == Some(ServiceResult::ExecCondition);
        if was_skipped && self.record(id, key).is_none() {
            return Ok(Ended::Nothing);
        }
        let Some(begun) = self.begun(id, key) else {
            log::debug!(BIJ_EXPERIMENT:% = id; "nothing was begun in this life of the unit");
            return Ok(Ended::Nothing);
        };
        let (ready, evidence) = self.hear_witnesses(id, &begun);
        let mut end = AttemptEnd { at: self.host.now(), cause: evidence.prove(), evidence };
        if end.is_crash() {
            end.evidence.last_lines = self.last_lines(id, invocation);
        }
        let closing = Closing {
            experiment: id.clone(),
            key,
            ready,
            end: end.clone(),
            started: begun.started,
        };
        let outcome = self.ledger.close(&closing)?;
        say(id, &begun, &end);
        self.keep_down(id, &end);
        self.keep_to_start_limit(id, key, &begun, &end);
        self.clear(id, &end);
        self.forget_definition(id);
        Ok(Ended::Closed(Box::new(end), outcome))
    }

    /// Returns the last lines that the experiment printed, each cut to a bearable length.
    fn last_lines(&self, id: &ExperimentId, invocation: InvocationId) -> Vec<String> {
        let read = self.journal.last_lines(id, invocation, LINES_KEPT);
        let lines = logged(read, "the last lines of the attempt are not kept").unwrap_or_default();
        lines.into_iter().map(|line| line.chars().take(CHARACTERS_KEPT).collect()).collect()
    }

    /// The attempt that `begin` opened in this life of the unit: by its record, or by the ledger.
    fn begun(&self, id: &ExperimentId, key: AttemptKey) -> Option<Begun> {
        if let Some(record) = self.record(id, key) {
            return Some(Begun {
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
        let newest = logged(self.ledger.attempts(&query), "the ledger cannot be read")?;
        let Attempt { run, number, started, .. } =
            newest.into_iter().find(|attempt| attempt.key == key)?;
        Some(Begun { run: Some(run), number: Some(number), started, record: None })
    }

    /// What `begin` has left of the attempt in this life of the unit.
    fn record(&self, id: &ExperimentId, key: AttemptKey) -> Option<AttemptRecord> {
        AttemptRecord::read(self.host.layout(), id).filter(|record| record.key == key)
    }

    /// Keeps a unit from being restarted whose run has succeeded though systemd calls this end a failure:
    /// the main process has left well, and what it left behind was late.
    fn keep_down(&self, id: &ExperimentId, end: &AttemptEnd) {
        let is_failure = self.told.service_result != Some(ServiceResult::Success);
        if is_failure && end.cause == Cause::Success && end.evidence.left_by_itself {
            logged(self.manager.stop(id), "the unit may be restarted though its run is over");
        }
    }

    /// Keeps a unit down whose next start would be one too many. systemd counts starts itself, but forgets
    /// its count whenever units are read again, as they are for a changed definition.
    fn keep_to_start_limit(
        &self,
        id: &ExperimentId,
        key: AttemptKey,
        begun: &Begun,
        end: &AttemptEnd,
    ) {
        let comes_back = RunEnd::after(end).is_none() && end.evidence.order.is_none();
        let Some(run) = begun.run.as_ref().filter(|_| comes_back) else { return };
        let Some(facts) = logged(self.manager.facts(id), "the start limit is not known") else {
            return;
        };
        let delay = facts.restart_delay.and_then(Limit::at).unwrap_or_default();
        let clock = Clock { boot: key.boot, now: self.host.now(), uptime: self.host.uptime() };
        let lives = lives_of_run(self.ledger, run, key.boot);
        if is_reached(&facts, &lives, &clock, delay) {
            log::info!(
                BIJ_EXPERIMENT:% = id, BIJ_RUN:% = run, BIJ_EVENT = "start-limit";
                "{id} is not restarted: it has used up its {} starts", facts.start_limit_burst
            );
            logged(self.manager.stop(id), "the unit may be started once more than it may");
        }
    }

    /// Whether the run is over by this end. One that was put back into the queue while it was up is
    /// not, however the attempt ended; only the ledger knows.
    fn is_run_over(&self, id: &ExperimentId, end: &AttemptEnd) -> bool {
        let tally = logged(self.ledger.tally(id), "the ledger cannot be read");
        tally.map_or_else(|| RunEnd::after(end).is_some(), |tally| tally.last_run_end.is_some())
    }

    /// Removes the drop-in of a definition that is gone. The settings that systemd has loaded stay in
    /// force until it reads the unit again.
    fn forget_definition(&self, id: &ExperimentId) {
        if matches!(self.definitions.find(id), Err(FindError::Missing { .. })) {
            let removed = remove_drop_in(&self.host.layout().drop_in(id));
            logged(removed, "the drop-in of a definition that is gone is still there");
        }
    }

    /// Removes what held for this attempt only, and what held for its run only if that is over.
    fn clear(&self, id: &ExperimentId, end: &AttemptEnd) {
        let layout = self.host.layout();
        let mut done = vec![layout.stop_file(id), layout.order(id)];
        let extras = layout.extras().join(format!("{id}.toml"));
        if extras.exists() && self.is_run_over(id, end) {
            done.push(extras);
        }
        for path in done {
            logged(files::remove(&path), "what held for this attempt only is still there");
        }
    }
}

/// Tells people.
fn say(id: &ExperimentId, begun: &Begun, end: &AttemptEnd) {
    let run = begun.run.clone().unwrap_or(RunId { experiment: id.clone(), number: RunNumber(0) });
    let number = begun.number.unwrap_or(AttemptNumber(0));
    let mut said = sentence(&run, number, end, begun.started);
    if begun.run.is_none() {
        said = said.replacen(&format!("attempt 0 of {run}"), &format!("an attempt of {id}"), 1);
    }
    let crashes = match begun.record.as_ref().and_then(|record| record.numbers) {
        Some(numbers) if end.is_crash() => {
            format!("; crash {}", numbers.crashes.saturating_add(1))
        }
        _ => String::new(),
    };
    let is_odd = end.is_crash() || end.evidence.left_behind.is_some();
    let level = if is_odd { log::Level::Warn } else { log::Level::Info };
    log::log!(
        level,
        BIJ_EXPERIMENT:% = id, BIJ_RUN:% = run, BIJ_ATTEMPT:% = number,
        BIJ_CAUSE:% = end.cause, BIJ_EVENT = "attempt-ended";
        "{said}{crashes}"
    );
}

#[cfg(test)]
mod tests;
