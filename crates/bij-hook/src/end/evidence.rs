//! Gathers the evidence of an attempt's end: systemd's environment variables, the kernel's counters, the service
//! manager, orders, and the experiment's progress.

use bij_core::port::{DefinitionSource, Ledger};
use bij_core::{
    Evidence, Exit, ExperimentId, LeftBehind, Limit, Order, OrderKind, PeakSource, ServiceResult,
    Witness,
};
use bij_host::{logged, read_progress};
use bij_systemd::experiment::{JobType, UnitFacts};

use super::OpenAttempt;
use crate::attempt_record::read_order;
use crate::exit_status::status_meaning;
use crate::own_cgroup::read_counters;
use crate::runnable::host_view;
use crate::{HookContext, HookJournal, HookManager};

impl<D: DefinitionSource, L: Ledger, M: HookManager, J: HookJournal> HookContext<'_, D, L, M, J> {
    /// Returns the evidence of an attempt's end. `facts` is the state of its unit, if the service manager answered.
    pub(super) fn gather_evidence(
        &self,
        id: &ExperimentId,
        attempt: &OpenAttempt,
        facts: Option<&UnitFacts>,
    ) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.witness = Some(Witness::Hook);
        evidence.service_result.clone_from(&self.env.service_result);
        evidence.exit = self.env.exit;
        self.read_kernel_evidence(id, attempt, &mut evidence);
        if let Some(facts) = facts {
            evidence.became_ready = facts.ready.is_some();
            evidence.ran_for = facts.ran_for;
            evidence.left_by_itself = facts.left_by_itself;
            evidence.time_limit = facts.time_limit.and_then(Limit::at);
            evidence.status_text.clone_from(&facts.status_text);
            evidence.restarts = Some(facts.restarts);
            // A drop-in can override systemd's environment variables, but not these properties.
            if facts.result.is_some() {
                evidence.service_result.clone_from(&facts.result);
                evidence.exit = facts.main_exit;
            }
        } else {
            evidence.became_ready = has_run(&evidence);
            evidence.notes.push("the service manager could not be asked".to_owned());
        }
        let refusal = attempt.record.as_ref().and_then(|record| record.refusal.clone());
        evidence.notes.extend(refusal.or_else(|| launcher_message(&evidence)));
        evidence.notes.extend(self.unknown_to_env(id, &evidence));
        evidence.order = self.order(id, facts);
        evidence.left_behind = self.left_behind(attempt, &evidence);
        if !evidence.became_ready {
            let meaning = evidence.exit.and_then(Exit::code).and_then(status_meaning);
            evidence.exit_meaning = meaning.map(str::to_owned);
        }
        evidence.progress = read_progress(&self.host.layout().progress(id));
        if was_killed_for_memory(&evidence) {
            // The counters show a kill in this invocation, so the newest line is about it.
            evidence.kernel_line = self.journal.oom_line(id, None);
        }
        evidence
    }

    /// Adds the counters of the own control group, less their values from before the attempt.
    fn read_kernel_evidence(
        &self,
        id: &ExperimentId,
        attempt: &OpenAttempt,
        evidence: &mut Evidence,
    ) {
        let Some(reading) = read_counters(self.host, id) else { return };
        let record = attempt.record.as_ref();
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

    /// Returns why a script exited with the status of `env` for a program that it cannot find.
    fn unknown_to_env(&self, id: &ExperimentId, evidence: &Evidence) -> Option<String> {
        if evidence.exit != Some(Exit::Code(NOT_FOUND_BY_ENV)) {
            return None;
        }
        let found = self.definitions.find(id).ok()?;
        let view = host_view(self.host.root(), self.env.path.as_deref());
        view.unknown_to_env(&found.spec).map(|unknown| unknown.to_string())
    }

    /// Returns the processes that outlived the main process: as the `leftovers` hook recorded them, or as the manager
    /// logged them if it had to kill them.
    fn left_behind(&self, attempt: &OpenAttempt, evidence: &Evidence) -> Option<LeftBehind> {
        let noted = attempt.record.as_ref().and_then(|record| record.left_behind.clone());
        let is_late = evidence.service_result == Some(ServiceResult::Timeout);
        if !(is_late && evidence.left_by_itself) {
            return noted;
        }
        let killed = self.env.invocation.and_then(|invocation| {
            logged(self.journal.killed_in(invocation), "cannot read which processes were killed")
        });
        let known = LeftBehind::new(killed.unwrap_or_default()).or(noted).unwrap_or_default();
        Some(LeftBehind { late: true, ..known })
    }

    /// Returns the order that this end follows: from the order file, which names its author, or else from a job of
    /// the manager.
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
        // A user's manager also stops with the user's last session, while the machine stays up.
        let machine_is_stopping = !self.host.is_user()
            || logged(self.manager.is_stopping(), "cannot tell whether the machine shuts down")
                .unwrap_or(true);
        Some(if machine_is_stopping {
            Order { kind: OrderKind::Shutdown, by: "shutdown of the machine".to_owned() }
        } else {
            Order { kind: OrderKind::ManagerStop, by: MANAGER_STOPPED.to_owned() }
        })
    }
}

/// The author of a stop by the end of a user's service manager, with the remedy.
const MANAGER_STOPPED: &str = "the end of the user's service manager, which stops with the last session \
     unless lingering is on (loginctl enable-linger)";

/// `EXIT_EXEC` of systemd.exec(5): the launcher could not execute the command.
const EXIT_EXEC: i32 = 203;
/// env(1), "Exit status": the program was not found.
const NOT_FOUND_BY_ENV: i32 = 127;

/// Returns the last status of the launcher, if it could not execute the command.
fn launcher_message(evidence: &Evidence) -> Option<String> {
    let launcher_failed = evidence.exit == Some(Exit::Code(EXIT_EXEC)) && !evidence.became_ready;
    evidence.status_text.clone().filter(|text| launcher_failed && !text.is_empty())
}

/// Returns whether the main process executed its own code, judged by its exit status alone.
fn has_run(evidence: &Evidence) -> bool {
    evidence.exit.is_some_and(|exit| !exit.is_systemd_status())
}

fn was_killed_for_memory(evidence: &Evidence) -> bool {
    evidence.service_result == Some(ServiceResult::OomKill)
        || evidence.oom_kills.is_some_and(|kills| kills > 0)
}
