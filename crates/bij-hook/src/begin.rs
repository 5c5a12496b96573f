//! `bij-hook begin`: opens the attempt that is about to run.
//!
//! In this order: is the unit what its definition says (`fresh`); what did other attempts leave
//! open (`left_open`); who asked for this start; the ledger's row; whether its program is there;
//! the environment that the process gets. On an
//! unchanged definition whose last attempt did not crash in this boot, nothing is asked of the
//! service manager.

mod fresh;
mod left_open;
pub(crate) mod start_limit;
mod tell;

use std::io;
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, DefinitionSource, FindError, Ledger, Opened, Opening};
use bij_core::{
    Attempt, AttemptKey, ExperimentId, Limit, Obstacle, RunEnd, StartKind, TimeSpan, Timestamp,
    error_chain,
};
use bij_host::logged;
use thiserror::Error;

use crate::attempt_record::{AttemptNumbers, AttemptRecord};
use crate::counters::read_counters;
use crate::owner::OwnerError;
use crate::runnable::{command_obstacle, place_obstacle};
use crate::{HookEnv, Journal, Manager, ManagerError, RenderError};
use bij_host::{HostContext, HostContextError, files};

use start_limit::{Clock, lives_of_run};

pub(crate) use left_open::close_other_boots;

/// What `begin` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// An attempt is open; its place in history, if the ledger could tell.
    Attempt(Option<Box<Opened>>),
    /// There is no definition to run: `refuse` comes next and says why.
    LeftToRefuse,
}

/// Why a start cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BeginError {
    /// It was not called by a service manager.
    #[error("$INVOCATION_ID is not set: this is called by systemd, not by hand")]
    NoInvocation,
    /// It does not know where it is.
    #[error("the attempt cannot be named")]
    HostContext(#[from] HostContextError),
    /// The definition has changed and the service manager could not be told.
    #[error("the definition has changed, and the service manager has not read it")]
    Reload(#[from] ManagerError),
    /// The machine lacks what its definition names.
    #[error("{0}")]
    Obstacle(Obstacle),
    /// It is not known who may read its environment.
    #[error("the user that it runs as is not known")]
    Owner(#[from] OwnerError),
    /// Its process would run without its environment.
    #[error("its environment cannot be written to {}", path.display())]
    Environment {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// systemd has forgotten how often it has started the unit: it does so whenever units are read
    /// again. The ledger has not.
    #[error(
        "{id} has used up its {burst} starts in {interval}; `systemctl reset-failed` or a start by hand begins anew"
    )]
    StartLimit {
        /// The experiment.
        id: ExperimentId,
        /// `StartLimitBurst=` in force.
        burst: u32,
        /// `StartLimitIntervalSec=` in force.
        interval: Limit<TimeSpan>,
    },
    /// The definition is there and cannot be read.
    #[error("the definition of {id} cannot be read; it is not started with settings of yesterday")]
    Definition {
        /// The experiment.
        id: ExperimentId,
        /// What went wrong.
        #[source]
        source: FindError,
    },
    /// The definition has changed and its drop-in cannot be written.
    #[error(
        "the new settings of {id} cannot be put in force, and it is not started with those of yesterday; once there is room (`df -h /run`), start it again"
    )]
    Render {
        /// The experiment.
        id: ExperimentId,
        /// What went wrong.
        #[source]
        source: RenderError,
    },
    /// The definition cannot be used any more, and its drop-in cannot be removed.
    #[error("{id} has no usable definition any more, and its command cannot be taken out of {}", path.display())]
    Remove {
        /// The experiment.
        id: ExperimentId,
        /// The drop-in.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Neither the database nor the runtime directory takes a record of the attempt.
    #[error(
        "the start of {id} can be recorded nowhere; once there is room (`df -h /run /var`), start it again"
    )]
    Unrecorded {
        /// The experiment.
        id: ExperimentId,
        /// Why its record cannot be left in the runtime directory.
        #[source]
        source: io::Error,
    },
    /// The unit is not what the definition says, even after a reload.
    #[error(
        "the unit of {id} differs from its definition even after a reload, and is not started with settings of yesterday: does another file hide {}? `systemctl cat {}` shows what is loaded",
        path.display(), id.unit_name()
    )]
    StillStale {
        /// The experiment.
        id: ExperimentId,
        /// The drop-in that should be loaded.
        path: PathBuf,
    },
}

/// What `begin` works with.
#[derive(Debug)]
pub struct Begin<'a, D, L, M, J> {
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

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> Begin<'_, D, L, M, J> {
    /// Begins an attempt of an experiment.
    ///
    /// # Errors
    /// [`BeginError`] if it must not run. Trouble with the ledger is logged and stops nothing.
    pub fn run(mut self, id: &ExperimentId) -> Result<Begun, BeginError> {
        let invocation = self.told.invocation.ok_or(BeginError::NoInvocation)?;
        let key = AttemptKey { boot: self.host.boot()?, invocation };
        let Some(spec) = self.ensure_fresh(id)? else { return Ok(Begun::LeftToRefuse) };
        let started = self.host.now();
        let mut recent = self.recent(id, key);
        if self.close_left_open(&recent, key) {
            recent = self.recent(id, key);
        }
        refuse(place_obstacle(self.host.root(), &spec))?;
        let uptime = self.host.uptime();
        let start = self.start_kind(&recent, key, started)?;
        let opening = Opening { experiment: id.clone(), key, at: started, uptime, start };
        let opened = self.ledger.open(&opening);
        let opened = logged(opened, "the ledger did not take the attempt's beginning");
        self.clear_the_way(id);
        let obstacle = command_obstacle(self.host.root(), &spec, self.told.path.as_deref());
        let ready =
            refuse(obstacle).and_then(|()| self.write_environment(&spec, opened.as_ref(), &recent));
        let refusal = ready.as_ref().err().map(|refusal| error_chain(refusal));
        let recorded = self.leave_record(id, key, started, opened.as_ref(), refusal);
        ready.and(recorded)?;
        log_begin(id, opened.as_ref());
        Ok(Begun::Attempt(opened.map(Box::new)))
    }

    /// The newest attempts before this one, oldest first. One question for all that `begin` wants
    /// to know: each costs a start as much as everything else together.
    fn recent(&self, id: &ExperimentId, here: AttemptKey) -> Vec<Attempt> {
        let query = AttemptQuery {
            experiment: Some(id.clone()),
            newest: Some(RECENT),
            ..AttemptQuery::default()
        };
        let recent = logged(self.ledger.attempts(&query), "the ledger cannot be read");
        recent.into_iter().flatten().filter(|attempt| attempt.key != here).collect()
    }

    /// Who asked for this start. `NRestarts` is asked for only if systemd can have done so.
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
        match logged(self.manager.facts(id), "NRestarts is not known") {
            Some(facts) if facts.restarts == 0 => Ok(StartKind::Fresh),
            Some(facts) => {
                let mut lives = lives_of_run(self.ledger, &newest.run, here.boot);
                lives.retain(|life| life.key != here);
                sound_alarm(newest, lives.len(), facts.restarts);
                let clock = Clock { boot: here.boot, now, uptime: self.host.uptime() };
                start_limit::check(id, &facts, &lives, &clock)?;
                Ok(StartKind::Restart)
            }
            // A restart is what usually follows a crash; a wrong guess only keeps one run open.
            None => Ok(StartKind::Restart),
        }
    }

    /// Removes what asked the attempt before to leave, and makes what is missing.
    fn clear_the_way(&self, id: &ExperimentId) {
        let layout = self.host.layout();
        for path in [layout.stop_file(id), layout.order(id)] {
            if let Err(error) = files::remove(&path) {
                log::warn!("cannot remove {}: {error}", path.display());
            }
        }
        // The system's manager has made it by StateDirectory=, with the right owner.
        if self.host.is_user() {
            let state = layout.experiment_state(id);
            logged(files::make_directory(&state), "the state directory cannot be made");
        }
    }

    fn leave_record(
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
            started_since_boot: self.host.since_boot(),
            oom_kills_before: before.as_ref().and_then(|reading| reading.oom_kills),
            memory_limit_hits_before: before.and_then(|reading| reading.memory_limit_hits),
            refusal,
            left_behind: None,
        };
        let Err(source) = record.write(self.host.layout(), id) else { return Ok(()) };
        log::warn!("the attempt's record cannot be left: {source}");
        // `end` finds the attempt by the ledger as well. One that stands nowhere would run and be forgotten.
        if opened.is_some() {
            return Ok(());
        }
        Err(BeginError::Unrecorded { id: id.clone(), source })
    }
}

fn refuse(obstacle: Option<Obstacle>) -> Result<(), BeginError> {
    obstacle.map_or(Ok(()), |obstacle| Err(BeginError::Obstacle(obstacle)))
}

/// So many attempts are looked at: what is open, what ended how, and where the newest checkpoint is.
const RECENT: usize = 16;

/// Whether systemd can have brought this attempt back: it ended in this boot and its run is open.
fn may_be_restarted(attempt: &Attempt, here: AttemptKey) -> bool {
    let open_run = attempt.end.as_ref().is_none_or(|end| RunEnd::after(end).is_none());
    attempt.key.boot == here.boot && open_run
}

/// More restarts than attempts mean that a beginning was never recorded: somebody should know.
fn sound_alarm(newest: &Attempt, known: usize, restarts: u32) {
    if known < usize::try_from(restarts).unwrap_or(usize::MAX) {
        log::warn!(
            BIJ_EXPERIMENT:% = newest.run.experiment, BIJ_RUN:% = newest.run, BIJ_EVENT = "unrecorded";
            "systemd counts {restarts} restarts of {} in this boot, the ledger only {known} attempts before this one",
            newest.run
        );
    }
}

fn log_begin(id: &ExperimentId, opened: Option<&Opened>) {
    let Some(opened) = opened else {
        log::warn!(BIJ_EXPERIMENT:% = id, BIJ_EVENT = "attempt-begun"; "an attempt of {id} begins without a place in the ledger");
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
