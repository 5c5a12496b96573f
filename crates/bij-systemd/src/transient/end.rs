//! The end of a transient service, with its cause.

use bij_core::{
    Bytes, Cause, Evidence, Exit, InvocationId, MonotonicTime, Order, PeakSource, ServiceResult,
    Witness,
};

use crate::bus::call;
use crate::error::Operation;
use crate::lifecycle::{LifecycleTimes, exit};
use crate::manager::{Manager, StartedUnit, service_result};
use crate::properties::UnitProperties;
use crate::{JobSuccess, ManagerAddress, ManagerError, RuntimeScope, UnitEvent, UnitName};

/// A transient service that was started. While this exists the manager keeps the unit loaded, so that its end can be
/// read.
#[derive(Debug)]
pub struct TransientUnit {
    manager: Manager,
    name: UnitName,
    started: StartedUnit,
    is_referenced: bool,
}

/// How a transient service ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitEnd {
    /// Why it ended, as the evidence proves.
    pub cause: Cause,
    /// What is known about the end.
    pub evidence: Evidence,
}

impl TransientUnit {
    pub(super) const fn new(
        manager: Manager,
        name: UnitName,
        started: StartedUnit,
        is_referenced: bool,
    ) -> Self {
        Self { manager, name, started, is_referenced }
    }

    /// Returns the name of the unit.
    pub const fn name(&self) -> &UnitName {
        &self.name
    }

    /// Returns what became of the start.
    pub const fn started(&self) -> &StartedUnit {
        &self.started
    }

    /// Stops the service and waits until it is down.
    ///
    /// # Errors
    /// [`ManagerError::Job`] if the job failed, otherwise the manager's error.
    pub async fn stop(&self) -> Result<JobSuccess, ManagerError> {
        self.manager.stop(&self.name).await
    }

    /// Waits until the service is down, reads how it ended, and lets the manager unload it.
    ///
    /// It survives a restart of the bus and a re-execution of the manager. If the manager has unloaded the unit by
    /// then, the end is read from the journal.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer.
    pub async fn wait(self) -> Result<UnitEnd, ManagerError> {
        let mut watch = self.manager.watch_unit(&self.name);
        let properties = loop {
            // The first event is a `Resync`, when no later change can be missed.
            if matches!(watch.next().await, UnitEvent::Lost(_)) {
                continue;
            }
            let properties = self.manager.bus().unit(&self.name).await?;
            if properties.active_state().is_down() {
                break properties;
            }
        };
        let (unit, scope) = (self.name.clone(), self.scope());
        let invocation = self.started.invocation;
        let same = properties.invocation().is_some() && properties.invocation() == invocation;
        let found = same.then(|| evidence(&properties));
        let since = properties.monotonic("ExecMainStartTimestampMonotonic");
        let complete = move || {
            let recorded = found.or_else(|| recorded_end(scope, invocation?));
            let mut evidence = recorded.unwrap_or_default();
            if may_be_out_of_memory(&evidence) && since.is_some() {
                evidence.kernel_line = kernel_line(scope, &unit, since);
            }
            UnitEnd { cause: evidence.prove(), evidence }
        };
        let end = tokio::task::spawn_blocking(complete).await.map_err(ManagerError::unreachable)?;
        if self.is_referenced {
            let proxy = self.manager.bus().manager().await?;
            let operation = Operation::on("release", &self.name);
            // If this fails, the reference ends with the connection.
            let _ = call(operation, proxy.unref_unit(self.name.as_str())).await;
        }
        Ok(end)
    }

    fn scope(&self) -> RuntimeScope {
        match self.manager.address() {
            ManagerAddress::User => RuntimeScope::User,
            ManagerAddress::System | ManagerAddress::Peer(_) => RuntimeScope::System,
        }
    }
}

/// Returns what the properties of a service that is down prove about its end.
fn evidence(properties: &UnitProperties) -> Evidence {
    let times = LifecycleTimes::from_properties(properties);
    let status = properties.i32("ExecMainCode").zip(properties.i32("ExecMainStatus"));
    let mut evidence = Evidence::default();
    evidence.witness = Some(Witness::Supervisor);
    evidence.service_result = service_result(properties);
    evidence.exit = status.and_then(|(code, status)| exit(code, status));
    evidence.ran_for = times.ran_for();
    // systemd's own exit codes say that the program was never executed; it may not have chosen one itself.
    let is_executed = !evidence.exit.is_some_and(Exit::is_systemd_status);
    evidence.became_ready = times.was_up() && is_executed;
    evidence.left_by_itself = times.left_by_itself();
    evidence.time_limit = properties.span_limit("RuntimeMaxUSec").and_then(bij_core::Limit::at);
    evidence.memory_max = properties.bytes_limit("MemoryMax");
    evidence.cpu_usage_nsec = properties.counter("CPUUsageNSec");
    evidence.memory_peak = properties.counter("MemoryPeak").map(Bytes::new);
    evidence.memory_peak_source = evidence.memory_peak.map(|_| PeakSource::Kernel);
    evidence.status_text = properties.text("StatusText").map(ToOwned::to_owned);
    evidence.restarts = properties.u32("NRestarts");
    // Only a job ends a unit that is up before its main process, if no time-out and no failure did.
    let ordinary = matches!(
        evidence.service_result,
        Some(ServiceResult::Success | ServiceResult::Signal | ServiceResult::ExitCode)
    );
    let was_stopped = times.main_exit > times.active_end && times.active_end >= times.active;
    if ordinary && times.was_up() && was_stopped {
        evidence.order = Some(Order::stop("systemd job stop"));
    }
    evidence
}

/// Returns `true` if the kernel may have killed the main process for memory.
fn may_be_out_of_memory(evidence: &Evidence) -> bool {
    evidence.exit == Some(Exit::Signal(9))
        || evidence.service_result == Some(ServiceResult::OomKill)
}

/// Reads what the manager recorded in the journal about the end of a unit that it has unloaded.
#[cfg(feature = "journal")]
fn recorded_end(scope: RuntimeScope, invocation: InvocationId) -> Option<Evidence> {
    crate::Journal::new(scope).end_of(invocation).ok()?.map(|end| end.evidence)
}

/// Without the journal, nothing is known about a unit that was unloaded.
#[cfg(not(feature = "journal"))]
fn recorded_end(_: RuntimeScope, _: InvocationId) -> Option<Evidence> {
    None
}

/// Returns the kernel's line about an OOM kill: on cgroup v1 only this line tells it from another SIGKILL.
#[cfg(feature = "journal")]
fn kernel_line(
    scope: RuntimeScope,
    unit: &UnitName,
    since: Option<MonotonicTime>,
) -> Option<String> {
    crate::Journal::new(scope).kernel_kill_line(unit, since)
}

/// Returns the kernel's line about an OOM kill, if the caller may read the kernel's log.
#[cfg(not(feature = "journal"))]
fn kernel_line(_: RuntimeScope, unit: &UnitName, since: Option<MonotonicTime>) -> Option<String> {
    crate::kernel_log::kill_line(&crate::kernel_log::read()?, unit, since)
}
