//! The adapters of the hooks: their service manager and its journal through systemd, and the ledger.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bij_core::{ExperimentId, InvocationId, MonotonicTime, Timestamp};
use bij_host::HostContext;
use bij_store::{LedgerNotice, RobustLedger};
use bij_systemd::experiment::{
    HookView, JournalLine, JournalQuery, MANAGER_NOTIFY_SOCKET, ServiceState, UnitFacts, Writer,
};
use bij_systemd::{JournalEnd, RuntimeScope, UnitName};

use crate::{HookJournal, HookJournalError, HookManager, HookManagerError};

/// The service manager that called this hook; connected at the first call.
#[derive(Debug)]
pub struct Systemd {
    scope: RuntimeScope,
    /// Whether the tree is not this machine's, so that its manager cannot be asked.
    is_foreign: bool,
    view: OnceCell<HookView>,
}

impl Systemd {
    /// Returns the service manager of an installation.
    pub fn new(host: &HostContext) -> Self {
        Self {
            scope: runtime_scope(host),
            is_foreign: is_foreign_root(host),
            view: OnceCell::new(),
        }
    }

    fn view(&self) -> Result<&HookView, HookManagerError> {
        self.ensure_here()?;
        Ok(self.view.get_or_init(|| HookView::connect(self.scope)))
    }

    /// Returns whether it is this machine's manager, and can be asked.
    pub const fn is_here(&self) -> bool {
        !self.is_foreign
    }

    /// Returns the state of the coordinator's unit.
    pub(crate) fn coordinator_state(&self) -> Result<ServiceState, HookManagerError> {
        self.view()?.service_state(crate::admit::COORDINATOR).map_err(failed)
    }

    fn ensure_here(&self) -> Result<(), HookManagerError> {
        if self.is_foreign { Err(HookManagerError(FOREIGN_ROOT.into())) } else { Ok(()) }
    }
}

fn failed(error: bij_systemd::experiment::HookViewError) -> HookManagerError {
    HookManagerError(Box::new(error))
}

impl HookManager for Systemd {
    fn facts(&self, id: &ExperimentId) -> Result<UnitFacts, HookManagerError> {
        self.view()?.unit_facts(id).map_err(failed)
    }

    fn stop(&self, id: &ExperimentId) -> Result<(), HookManagerError> {
        self.view()?.stop(id).map_err(failed)
    }

    fn reload(&self) -> Result<(), HookManagerError> {
        self.view()?.reload().map_err(failed)
    }

    fn has_loaded_experiments(&self) -> Result<bool, HookManagerError> {
        self.view()?.has_loaded_experiments().map_err(failed)
    }

    fn is_stopping(&self) -> Result<bool, HookManagerError> {
        self.ensure_here()?;
        // A user's manager also stops with the session, so ask PID 1.
        HookView::connect(RuntimeScope::System).is_stopping().map_err(failed)
    }
}

/// The journal of this hook's manager.
#[derive(Debug)]
pub struct SystemdJournal {
    journal: bij_systemd::Journal,
    is_foreign: bool,
}

impl SystemdJournal {
    /// Returns the journal of an installation.
    pub fn new(host: &HostContext) -> Self {
        let journal = bij_systemd::Journal::new(runtime_scope(host));
        Self { journal, is_foreign: is_foreign_root(host) }
    }
}

/// How long to wait for lines: journald stores them asynchronously, and late after a flood.
const LINES_TIMEOUT: Duration = Duration::from_secs(5);
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Allowance for lines of the service manager and the hooks among those of the experiment.
const OTHER_LINES: usize = 20;

impl SystemdJournal {
    /// Returns the newest lines of one invocation of a unit that are in the journal now.
    fn newest_lines(
        &self,
        id: &ExperimentId,
        invocation: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, HookJournalError> {
        let query = JournalQuery {
            experiments: vec![id.clone()],
            newest: Some(count + OTHER_LINES),
            ..JournalQuery::default()
        };
        // The time matters only for future lines.
        let lines = self.journal.lines(&query, Timestamp::from_micros(0));
        let lines = lines.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let lines = lines.map_err(|error| HookJournalError(Box::new(error)))?;
        let is_printed = |line: &JournalLine| {
            // journald does not know the invocation of an exited process.
            line.invocation.is_none_or(|of_line| of_line == invocation)
                && matches!(line.writer, Writer::Experiment | Writer::Process(_))
        };
        let mut printed: Vec<String> =
            lines.into_iter().filter(is_printed).map(|line| line.text).collect();
        printed.drain(..printed.len().saturating_sub(count));
        Ok(printed)
    }
}

impl HookJournal for SystemdJournal {
    fn end_of(&self, invocation: InvocationId) -> Result<Option<JournalEnd>, HookJournalError> {
        if self.is_foreign {
            return Err(HookJournalError(FOREIGN_ROOT.into()));
        }
        self.journal.end_of(invocation).map_err(|error| HookJournalError(Box::new(error)))
    }

    fn killed_in(&self, invocation: InvocationId) -> Result<Vec<String>, HookJournalError> {
        if self.is_foreign {
            return Err(HookJournalError(FOREIGN_ROOT.into()));
        }
        self.journal.killed_processes(invocation).map_err(|error| HookJournalError(Box::new(error)))
    }

    fn last_lines(
        &self,
        id: &ExperimentId,
        invocation: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, HookJournalError> {
        if self.is_foreign {
            return Err(HookJournalError(FOREIGN_ROOT.into()));
        }
        let started = Instant::now();
        let mut last = self.newest_lines(id, invocation, count)?;
        while started.elapsed() < LINES_TIMEOUT {
            sleep(READ_AGAIN_AFTER);
            let newer = self.newest_lines(id, invocation, count)?;
            if newer == last {
                break;
            }
            last = newer;
        }
        Ok(last)
    }

    fn oom_line(&self, id: &ExperimentId, since: Option<MonotonicTime>) -> Option<String> {
        if self.is_foreign {
            None
        } else {
            self.journal.kernel_kill_line(&UnitName::from_experiment(id), since)
        }
    }
}

/// The error for a call to the service manager of another tree.
pub const FOREIGN_ROOT: &str = "--root names another tree than the machine's own";

/// Returns whether the tree is not the machine's own, so that the service manager knows nothing about it.
pub fn is_foreign_root(host: &HostContext) -> bool {
    host.root() != Path::new("/")
}

/// Returns the service manager that starts the experiments of this installation.
pub fn runtime_scope(host: &HostContext) -> RuntimeScope {
    if host.is_user() { RuntimeScope::User } else { RuntimeScope::System }
}

/// Returns the socket of the manager that calls a hook, for its messages (`sd_notify(3)`).
///
/// The system's manager has a fixed socket; `$NOTIFY_SOCKET` of its units is the filter for experiments. `named` is
/// `$NOTIFY_SOCKET`, which is used for a user's manager only.
pub fn manager_socket(host: &HostContext, named: Option<&OsStr>) -> Option<PathBuf> {
    if host.is_user() {
        return named.map(PathBuf::from);
    }
    Some(host.root().join(MANAGER_NOTIFY_SOCKET.trim_start_matches('/')))
}

/// Returns the ledger of an installation. The database is opened at the first read or write.
pub fn open_ledger(host: &HostContext) -> RobustLedger {
    RobustLedger::at(host.layout()).with_notices(|notice| {
        let level = match notice {
            LedgerNotice::Lost { .. } => log::Level::Error,
            LedgerNotice::Applied { .. } => log::Level::Info,
            _ => log::Level::Warn,
        };
        // A lost record is part of the text, so that the journal keeps it.
        log::log!(level, BIJ_EVENT = "ledger"; "{notice}");
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_used_for_a_users_manager_only() {
        let named = Some(OsStr::new("/run/brain-in-jar/notify"));
        let system = HostContext::system(Path::new("/"));
        for named in [named, None] {
            assert_eq!(manager_socket(&system, named), Some("/run/systemd/notify".into()));
        }
        let user = HostContext::user(Path::new("/"), |_| Some("/home/ann".into())).unwrap();
        assert_eq!(manager_socket(&user, named), named.map(PathBuf::from));
        assert_eq!(manager_socket(&user, None), None);
    }
}
