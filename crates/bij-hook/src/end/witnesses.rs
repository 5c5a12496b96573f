//! Who is heard about an attempt's end: systemd's own words, the kernel's counters, the service
//! manager, orders, the experiment itself.

use bij_core::port::{DefinitionSource, Ledger};
use bij_core::{
    Evidence, Exit, ExperimentId, LeftBehind, Limit, Order, OrderKind, PeakSource, ServiceResult,
    Timestamp, Witness,
};
use bij_host::{logged, read_progress};
use bij_systemd::{JobType, UnitFacts};

use super::{Begun, End};
use crate::counters::read_counters;
use crate::order_file::read_order;
use crate::runnable::host_view;
use crate::status_meaning::status_meaning;
use crate::{Journal, Manager};

impl<D: DefinitionSource, L: Ledger, M: Manager, J: Journal> End<'_, D, L, M, J> {
    /// Gathers what is known; also when the attempt was up.
    pub(super) fn hear_witnesses(
        &self,
        id: &ExperimentId,
        begun: &Begun,
    ) -> (Option<Timestamp>, Evidence) {
        let mut evidence = Evidence::default();
        evidence.witness = Some(Witness::Hook);
        evidence.service_result.clone_from(&self.told.service_result);
        evidence.exit = self.told.exit;
        self.hear_kernel(id, begun, &mut evidence);
        let facts = logged(self.manager.facts(id), "the service manager does not tell");
        if let Some(facts) = &facts {
            evidence.became_ready = facts.ready.is_some();
            evidence.ran_for = facts.ran_for;
            evidence.left_by_itself = facts.left_by_itself;
            evidence.time_limit = facts.time_limit.and_then(Limit::at);
            evidence.status_text.clone_from(&facts.status_text);
            evidence.restarts = Some(facts.restarts);
            // A variable of the unit can take the place of systemd's own; its properties cannot be set.
            if facts.result.is_some() {
                evidence.service_result.clone_from(&facts.result);
                evidence.exit = facts.main_exit;
            }
        } else {
            evidence.became_ready = ran_at_all(&evidence);
            evidence.notes.push("the service manager could not be asked".to_owned());
        }
        let refusal = begun.record.as_ref().and_then(|record| record.refusal.clone());
        evidence.notes.extend(refusal.or_else(|| words_of_launcher(&evidence)));
        evidence.notes.extend(self.unknown_to_env(id, &evidence));
        evidence.order = self.order(id, facts.as_ref());
        evidence.left_behind = self.left_behind(begun, &evidence);
        if !evidence.became_ready {
            let meaning = evidence.exit.and_then(Exit::code).and_then(status_meaning);
            evidence.exit_meaning = meaning.map(str::to_owned);
        }
        evidence.progress = read_progress(&self.host.layout().progress(id));
        if killed_for_memory(&evidence) {
            // The counters say that there was one in this life, so the newest line tells of it.
            evidence.kernel_line = self.journal.oom_line(id, None);
        }
        (facts.and_then(|facts| facts.ready), evidence)
    }

    /// The counters of the own control group, less what it had counted before the attempt began.
    fn hear_kernel(&self, id: &ExperimentId, begun: &Begun, evidence: &mut Evidence) {
        let Some(reading) = read_counters(self.host, id) else { return };
        let record = begun.record.as_ref();
        let since = |now: Option<u64>, before: Option<u64>| {
            now.map(|now| now.saturating_sub(before.unwrap_or(0)))
        };
        evidence.oom_kills =
            since(reading.oom_kills, record.and_then(|record| record.oom_kills_before));
        evidence.memory_limit_hits = since(
            reading.memory_limit_hits,
            record.and_then(|record| record.memory_limit_hits_before),
        );
        evidence.memory_peak = reading.resources.memory_peak;
        evidence.memory_peak_source = evidence.memory_peak.map(|_| PeakSource::Kernel);
        evidence.memory_max = reading.resources.memory_max;
        evidence.cpu_usage_nsec = reading.resources.cpu_usage_nsec;
    }

    /// Returns why a script left at once with the status of `env` for a program that it does not find.
    fn unknown_to_env(&self, id: &ExperimentId, evidence: &Evidence) -> Option<String> {
        if evidence.exit != Some(Exit::Code(NOT_FOUND_BY_ENV)) {
            return None;
        }
        let found = self.definitions.find(id).ok()?;
        let view = host_view(self.host.root(), self.told.path.as_deref());
        view.unknown_to_env(&found.spec).map(|unknown| unknown.to_string())
    }

    /// Returns the processes that outlived the main process: as they were noted before they were signalled,
    /// or by the manager's own words if they had to be killed.
    fn left_behind(&self, begun: &Begun, evidence: &Evidence) -> Option<LeftBehind> {
        let noted = begun.record.as_ref().and_then(|record| record.left_behind.clone());
        let is_late = evidence.service_result == Some(ServiceResult::Timeout);
        if !(is_late && evidence.left_by_itself) {
            return noted;
        }
        let killed = self.told.invocation.and_then(|invocation| {
            logged(self.journal.killed_in(invocation), "it is not known what was left behind")
        });
        let known = LeftBehind::new(killed.unwrap_or_default()).or(noted).unwrap_or_default();
        Some(LeftBehind { late: true, ..known })
    }

    /// Who asked for this end: a file says it by name, a job of the manager says that it was asked.
    fn order(&self, id: &ExperimentId, facts: Option<&UnitFacts>) -> Option<Order> {
        let by_name = read_order(self.host.layout(), id);
        if by_name.is_some() {
            return by_name;
        }
        let facts = facts?;
        let job = match facts.job.as_ref()? {
            JobType::Stop => "stop",
            JobType::Restart => "restart",
            JobType::Start | JobType::Other(_) => return None,
        };
        if !facts.stopping {
            return Some(Order { kind: OrderKind::Stop, by: format!("systemd job {job}") });
        }
        // The manager of a user stops with the user's last session as well, and the boot goes on.
        let machine_goes_down = !self.host.is_user()
            || logged(self.manager.is_stopping(), "is the machine going down?").unwrap_or(true);
        Some(if machine_goes_down {
            Order { kind: OrderKind::Shutdown, by: "shutdown of the machine".to_owned() }
        } else {
            Order { kind: OrderKind::ManagerStop, by: MANAGER_STOPPED.to_owned() }
        })
    }
}

/// What a user is told of the end of the user's service manager, with the remedy.
const MANAGER_STOPPED: &str = "the end of the user's service manager, which stops with the last session \
     unless lingering is on (loginctl enable-linger)";

/// `EXIT_EXEC` of systemd.exec(5): the launcher could not execute the command.
const EXIT_EXEC: i32 = 203;
/// env(1), "Exit status": the program was not found.
const NOT_FOUND_BY_ENV: i32 = 127;

/// Returns what the launcher has said last, where it could not execute the command.
fn words_of_launcher(evidence: &Evidence) -> Option<String> {
    let is_launchers = evidence.exit == Some(Exit::Code(EXIT_EXEC)) && !evidence.became_ready;
    evidence.status_text.clone().filter(|text| is_launchers && !text.is_empty())
}

/// Whether the main process got as far as its own code, if the manager does not tell.
fn ran_at_all(evidence: &Evidence) -> bool {
    evidence.exit.is_some_and(|exit| !exit.is_systemd_status())
}

fn killed_for_memory(evidence: &Evidence) -> bool {
    evidence.service_result == Some(ServiceResult::OomKill)
        || evidence.oom_kills.is_some_and(|kills| kills > 0)
}
