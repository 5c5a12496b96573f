//! The hooks' questions, put to the real systemd.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bij_core::{ExperimentId, InvocationId, TimeSpan, Timestamp};
use bij_host::HostContext;
use bij_systemd::{
    HookView, JournalEnd, LogLine, LogQuery, MANAGER_NOTIFY_SOCKET, RuntimeScope, ServiceState,
    UnitFacts, Writer,
};

use crate::{Journal, JournalError, LoggedEnd, Manager, ManagerError};

/// The service manager that called this hook; asked for the first time when something is asked.
#[derive(Debug)]
pub struct Systemd {
    scope: RuntimeScope,
    /// Another tree's manager cannot be asked.
    elsewhere: bool,
    view: OnceCell<HookView>,
}

impl Systemd {
    /// The manager of a place.
    pub fn new(host: &HostContext) -> Self {
        Self { scope: scope(host), elsewhere: is_elsewhere(host), view: OnceCell::new() }
    }

    fn view(&self) -> Result<&HookView, ManagerError> {
        self.ensure_here()?;
        Ok(self.view.get_or_init(|| HookView::connect(self.scope)))
    }

    /// Whether it is this machine's, and can be asked.
    pub const fn is_here(&self) -> bool {
        !self.elsewhere
    }

    /// How the unit of the coordinator stands.
    pub(crate) fn coordinator_state(&self) -> Result<ServiceState, ManagerError> {
        self.view()?.service_state(crate::admit::COORDINATOR).map_err(failed)
    }

    fn ensure_here(&self) -> Result<(), ManagerError> {
        if self.elsewhere { Err(ManagerError(ELSEWHERE.into())) } else { Ok(()) }
    }
}

fn failed(error: bij_systemd::HookViewError) -> ManagerError {
    ManagerError(Box::new(error))
}

impl Manager for Systemd {
    fn facts(&self, id: &ExperimentId) -> Result<UnitFacts, ManagerError> {
        self.view()?.unit_facts(id).map_err(failed)
    }

    fn stop(&self, id: &ExperimentId) -> Result<(), ManagerError> {
        self.view()?.stop(id).map_err(failed)
    }

    fn reload(&self) -> Result<(), ManagerError> {
        self.view()?.reload().map_err(failed)
    }

    fn has_loaded_experiments(&self) -> Result<bool, ManagerError> {
        self.view()?.has_loaded_experiments().map_err(failed)
    }

    fn is_stopping(&self) -> Result<bool, ManagerError> {
        self.ensure_here()?;
        // A user's manager stops with the session too, and the boot goes on: PID 1 is asked.
        HookView::connect(RuntimeScope::System).is_stopping().map_err(failed)
    }
}

/// The journal of this hook's manager.
#[derive(Debug)]
pub struct SystemdJournal {
    journal: bij_systemd::Journal,
    elsewhere: bool,
}

impl SystemdJournal {
    /// The journal of a place.
    pub fn new(host: &HostContext) -> Self {
        let journal = bij_systemd::Journal::new(scope(host));
        Self { journal, elsewhere: is_elsewhere(host) }
    }
}

/// journald takes in what a process has printed on its own time, and is behind after a flood.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Lines of the service manager and of hooks stand between those of the experiment.
const OF_OTHERS: usize = 20;

impl SystemdJournal {
    /// The newest lines of one life of a unit that are in the journal now.
    fn newest_lines(
        &self,
        id: &ExperimentId,
        invocation: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, JournalError> {
        let query = LogQuery {
            experiments: vec![id.clone()],
            newest: Some(count + OF_OTHERS),
            ..LogQuery::default()
        };
        // The time counts only for lines to come.
        let lines = self.journal.lines(&query, Timestamp::from_micros(0));
        let lines = lines.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let lines = lines.map_err(|error| JournalError(Box::new(error)))?;
        let is_printed = |line: &LogLine| {
            // journald does not know the invocation of a process that is gone.
            line.invocation.is_none_or(|of| of == invocation)
                && matches!(line.writer, Writer::Experiment | Writer::Process(_))
        };
        let mut printed: Vec<String> =
            lines.into_iter().filter(is_printed).map(|line| line.text).collect();
        printed.drain(..printed.len().saturating_sub(count));
        Ok(printed)
    }
}

impl Journal for SystemdJournal {
    fn end_of(&self, invocation: InvocationId) -> Result<Option<LoggedEnd>, JournalError> {
        if self.elsewhere {
            return Err(JournalError(ELSEWHERE.into()));
        }
        let found =
            self.journal.end_of(invocation).map_err(|error| JournalError(Box::new(error)))?;
        Ok(found.map(|JournalEnd { at, ready, evidence, .. }| LoggedEnd { at, ready, evidence }))
    }

    fn killed_in(&self, invocation: InvocationId) -> Result<Vec<String>, JournalError> {
        if self.elsewhere {
            return Err(JournalError(ELSEWHERE.into()));
        }
        self.journal.killed_processes(invocation).map_err(|error| JournalError(Box::new(error)))
    }

    fn last_lines(
        &self,
        id: &ExperimentId,
        invocation: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, JournalError> {
        if self.elsewhere {
            return Err(JournalError(ELSEWHERE.into()));
        }
        let begun = Instant::now();
        let mut last = self.newest_lines(id, invocation, count)?;
        while begun.elapsed() < ARRIVES_WITHIN {
            sleep(LOOK_AGAIN_AFTER);
            let newer = self.newest_lines(id, invocation, count)?;
            if newer == last {
                break;
            }
            last = newer;
        }
        Ok(last)
    }

    fn oom_line(&self, id: &ExperimentId, since: Option<TimeSpan>) -> Option<String> {
        if self.elsewhere { None } else { self.journal.kernel_kill_line(id, since) }
    }
}

/// Why the service manager of another tree is not asked.
pub const ELSEWHERE: &str = "--root names another tree than the machine's own";

/// Returns whether the tree is another than that of the machine, whose service manager cannot be asked about it.
pub fn is_elsewhere(host: &HostContext) -> bool {
    host.root() != Path::new("/")
}

/// Returns the service manager that starts the experiments of this installation.
pub fn scope(host: &HostContext) -> RuntimeScope {
    if host.is_user() { RuntimeScope::User } else { RuntimeScope::System }
}

/// Returns where the manager that calls a hook listens for its messages (`sd_notify(3)`).
///
/// The system's manager listens at a known path, which is not taken from the environment, where experiments find
/// their filter. `named` is `$NOTIFY_SOCKET`, which counts for a user's manager only.
pub fn manager_socket(host: &HostContext, named: Option<&OsStr>) -> Option<PathBuf> {
    if host.is_user() {
        return named.map(PathBuf::from);
    }
    Some(host.root().join(MANAGER_NOTIFY_SOCKET.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_manager_of_a_user_names_its_socket() {
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
