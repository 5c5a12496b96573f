//! `bij-hook begin`: opens the attempt that is about to run.
//!
//! In this order: renders the unit if its definition has changed (`fresh`); closes earlier attempts
//! (`unclosed`); decides whether this is a restart; opens the attempt in the ledger; checks that the
//! program exists; writes the environment of the process. If the definition is unchanged and the last
//! attempt did not crash in this boot, the service manager is not called.

mod environment;
mod fresh;

use std::io;
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, DefinitionSource, FindError, Ledger, Opened, Opening};
use bij_core::{
    Attempt, AttemptKey, ExperimentId, Limit, Obstacle, RunEnd, StartKind, TimeSpan, Timestamp,
    error_chain,
};
use bij_host::{HostContextError, files, logged, monotonic, uptime};
use thiserror::Error;

use crate::attempt_record::{AttemptNumbers, AttemptRecord};
use crate::own_cgroup::read_counters;
use crate::runnable::{command_obstacle, directory_obstacle};
use crate::start_limit::{self, ClockReading, attempts_in_boot};
use crate::{HookContext, HookJournal, HookManager, HookManagerError, RenderError};

pub use environment::OwnerError;

/// What [`HookContext::begin`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// An attempt is open; `None` if the ledger could not record it.
    Attempt(Option<Box<Opened>>),
    /// There is no usable definition: the template runs `refuse` next, which says why.
    LeftToRefuse,
}

/// Why a start cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The hook was not called by a service manager.
    #[error("$INVOCATION_ID is not set: systemd calls this hook, it cannot be called by hand")]
    NoInvocation,
    /// The boot of this attempt is unknown.
    #[error("cannot identify the attempt")]
    HostContext(#[from] HostContextError),
    /// The definition has changed, and the service manager could not be asked to reload.
    #[error("the definition has changed, but the service manager has not reloaded it")]
    Reload(#[from] HookManagerError),
    /// The machine lacks something that the definition names.
    #[error("{0}")]
    Obstacle(Obstacle),
    /// The user that may read the environment is unknown.
    #[error("cannot find the user of the experiment")]
    Owner(#[from] OwnerError),
    /// The process would run without its environment.
    #[error("cannot write the environment of the attempt to {}", path.display())]
    Environment {
        /// The file of the environment.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The start limit is reached by the ledger's count; systemd forgets its own count at each reload.
    #[error(
        "{id} has used up its {burst} starts in {interval}; to reset the count, run `systemctl reset-failed` or start it by hand"
    )]
    StartLimit {
        /// The experiment that cannot start.
        id: ExperimentId,
        /// `StartLimitBurst=` in force.
        burst: u32,
        /// `StartLimitIntervalSec=` in force.
        interval: Limit<TimeSpan>,
    },
    /// The definition exists but cannot be read.
    #[error("cannot read the definition of {id}; it is not started with outdated settings")]
    Definition {
        /// The experiment that cannot start.
        id: ExperimentId,
        /// What went wrong.
        #[source]
        source: FindError,
    },
    /// The definition has changed, and its drop-in cannot be written.
    #[error(
        "cannot write the new settings of {id}, and it is not started with outdated ones; free space (`df -h /run`), then start it again"
    )]
    Render {
        /// The experiment that cannot start.
        id: ExperimentId,
        /// What went wrong.
        #[source]
        source: RenderError,
    },
    /// The definition is no longer usable, and its drop-in cannot be removed.
    #[error("the definition of {id} is no longer usable, and its old command cannot be removed from {}", path.display())]
    Remove {
        /// The experiment that cannot start.
        id: ExperimentId,
        /// The drop-in.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The attempt can be recorded neither in the database nor in the runtime directory.
    #[error("cannot record the start of {id}; free space (`df -h /run /var`), then start it again")]
    Unrecorded {
        /// The experiment that cannot start.
        id: ExperimentId,
        /// Why the runtime directory cannot take the record.
        #[source]
        source: io::Error,
    },
    /// The unit differs from its definition even after a reload.
    #[error(
        "the unit of {id} differs from its definition even after a reload, and is not started with outdated settings: does another file override {}? `systemctl cat {}` shows the loaded files",
        path.display(), id.unit_name()
    )]
    StillStale {
        /// The experiment that cannot start.
        id: ExperimentId,
        /// The drop-in that should be loaded.
        path: PathBuf,
    },
}

impl<D: DefinitionSource, L: Ledger, M: HookManager, J: HookJournal> HookContext<'_, D, L, M, J> {
    /// Begins an attempt of an experiment.
    ///
    /// # Errors
    /// [`BeginError`] if it must not run. An error of the ledger alone is logged and does not stop the start.
    pub fn begin(mut self, id: &ExperimentId) -> Result<Begun, BeginError> {
        let invocation = self.env.invocation.ok_or(BeginError::NoInvocation)?;
        let key = AttemptKey { boot: self.host.boot()?, invocation };
        let Some(spec) = self.ensure_fresh(id)? else { return Ok(Begun::LeftToRefuse) };
        let started = self.host.now();
        let mut recent = self.recent(id, key);
        if self.close_unclosed(&recent, key) {
            recent = self.recent(id, key);
        }
        refuse(directory_obstacle(self.host.root(), &spec))?;
        let uptime = uptime();
        let start = self.start_kind(&recent, key, started)?;
        let opening = Opening { experiment: id.clone(), key, at: started, uptime, start };
        let opened = self.ledger.open(&opening);
        let opened = logged(opened, "cannot record the start in the ledger");
        self.prepare_directories(id);
        let obstacle = command_obstacle(self.host.root(), &spec, self.env.path.as_deref());
        let ready =
            refuse(obstacle).and_then(|()| self.write_environment(&spec, opened.as_ref(), &recent));
        let refusal = ready.as_ref().err().map(|refusal| error_chain(refusal));
        let recorded = self.write_record(id, key, started, opened.as_ref(), refusal);
        ready.and(recorded)?;
        log_begin(id, opened.as_ref());
        Ok(Begun::Attempt(opened.map(Box::new)))
    }

    /// Returns the newest attempts before this one, oldest first. It is the only query of `begin`, because a query
    /// takes as long as all the rest of a start.
    fn recent(&self, id: &ExperimentId, here: AttemptKey) -> Vec<Attempt> {
        let query = AttemptQuery {
            experiment: Some(id.clone()),
            newest: Some(RECENT),
            ..AttemptQuery::default()
        };
        let recent = logged(self.ledger.attempts(&query), "cannot read the ledger");
        recent.into_iter().flatten().filter(|attempt| attempt.key != here).collect()
    }

    /// Decides whether systemd restarted the unit by itself. Reads `NRestarts` only if that is possible.
    fn start_kind(
        &self,
        recent: &[Attempt],
        here: AttemptKey,
        now: Timestamp,
    ) -> Result<StartKind, BeginError> {
        let Some(newest) = recent.last().filter(|newest| may_be_restarted(newest, here)) else {
            return Ok(StartKind::Fresh);
        };
        let id = &newest.run.experiment;
        match logged(self.manager.facts(id), "cannot read NRestarts") {
            Some(facts) if facts.restarts == 0 => Ok(StartKind::Fresh),
            Some(facts) => {
                let mut attempts = attempts_in_boot(self.ledger, &newest.run, here.boot);
                attempts.retain(|attempt| attempt.key != here);
                warn_if_unrecorded(newest, attempts.len(), facts.restarts);
                let clock = ClockReading { boot: here.boot, now, uptime: uptime() };
                start_limit::check(id, &facts, &attempts, &clock)?;
                Ok(StartKind::Restart)
            }
            // A start after a crash is usually a restart; a wrong guess only keeps one run open.
            None => Ok(StartKind::Restart),
        }
    }

    /// Removes the stop requests of the previous attempt, and makes the state directory if it is missing.
    fn prepare_directories(&self, id: &ExperimentId) {
        let layout = self.host.layout();
        for path in [layout.stop_file(id), layout.order(id)] {
            if let Err(error) = files::remove(&path) {
                log::warn!("cannot remove {}: {error}", path.display());
            }
        }
        // The system's manager makes it itself (`StateDirectory=`), with the right owner.
        if self.host.is_user() {
            let state = layout.experiment_state(id);
            logged(files::make_directory(&state), "cannot make the state directory");
        }
    }

    fn write_record(
        &self,
        id: &ExperimentId,
        key: AttemptKey,
        started: Timestamp,
        opened: Option<&Opened>,
        refusal: Option<String>,
    ) -> Result<(), BeginError> {
        let before = read_counters(self.host, id);
        let record = AttemptRecord {
            key,
            numbers: opened.map(|opened| AttemptNumbers {
                run: opened.run.number,
                attempt: opened.attempt,
                crashes: opened.before.crashes,
            }),
            started,
            started_since_boot: monotonic(),
            oom_kills_before: before.as_ref().and_then(|reading| reading.oom_kills),
            memory_limit_hits_before: before.and_then(|reading| reading.memory_limit_hits),
            refusal,
            left_behind: None,
        };
        let Err(source) = record.write(self.host.layout(), id) else { return Ok(()) };
        log::warn!("cannot write the record of the attempt: {source}");
        // `end` can also find the attempt in the ledger. An attempt that is in neither would be lost.
        if opened.is_some() {
            return Ok(());
        }
        Err(BeginError::Unrecorded { id: id.clone(), source })
    }
}

fn refuse(obstacle: Option<Obstacle>) -> Result<(), BeginError> {
    obstacle.map_or(Ok(()), |obstacle| Err(BeginError::Obstacle(obstacle)))
}

/// Number of earlier attempts that are read: to close open ones, and to find the last cause and checkpoint.
const RECENT: usize = 16;

/// Returns whether systemd may have restarted the unit after this attempt: it began in this boot, and its run is open.
fn may_be_restarted(attempt: &Attempt, here: AttemptKey) -> bool {
    let open_run = attempt.end.as_ref().is_none_or(|end| RunEnd::after(end).is_none());
    attempt.key.boot == here.boot && open_run
}

/// Logs a warning if systemd has restarted the unit more often than the ledger knows: a start was not recorded.
fn warn_if_unrecorded(newest: &Attempt, known: usize, restarts: u32) {
    if known < usize::try_from(restarts).unwrap_or(usize::MAX) {
        log::warn!(
            BIJ_EXPERIMENT:% = newest.run.experiment, BIJ_RUN:% = newest.run, BIJ_EVENT = "unrecorded";
            "systemd counts {restarts} restarts of {} in this boot, but the ledger has only {known} earlier attempts",
            newest.run
        );
    }
}

fn log_begin(id: &ExperimentId, opened: Option<&Opened>) {
    let Some(opened) = opened else {
        log::warn!(BIJ_EXPERIMENT:% = id, BIJ_EVENT = "attempt-begun"; "an attempt of {id} begins, but is not recorded in the ledger");
        return;
    };
    let before = match (opened.before.crashes, opened.before.last_cause) {
        (0, _) | (_, None) => String::new(),
        (1, Some(cause)) => format!(" after 1 crash, last cause {cause}"),
        (crashes, Some(cause)) => format!(" after {crashes} crashes, last cause {cause}"),
    };
    log::info!(
        BIJ_EXPERIMENT:% = id, BIJ_RUN:% = opened.run, BIJ_ATTEMPT:% = opened.attempt, BIJ_EVENT = "attempt-begun";
        "attempt {} of {} begins{before}", opened.attempt, opened.run
    );
}

#[cfg(test)]
mod tests;
