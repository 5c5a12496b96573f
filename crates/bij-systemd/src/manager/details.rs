//! All that a manager knows about one unit, with the figures of its control group.

use bij_core::{
    ActiveState, Exit, InvocationId, LoadState, Resources, ServiceResult, SubState, Timestamp,
};

use super::{Manager, UnitProperties, entered_at};
use crate::lifecycle::exit;
use crate::{ManagerError, UnitName};

/// The state of one unit (systemctl(1), `status`, `show`). Values that its kind of unit, or this version of systemd,
/// does not have are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitDetails {
    /// The name of the unit.
    pub name: UnitName,
    /// Its description for people: `Description=`.
    pub description: Option<String>,
    /// Whether its files are loaded.
    pub load_state: LoadState,
    /// Its state, as every unit has one.
    pub active_state: ActiveState,
    /// Its low-level state, in the words of its kind.
    pub sub_state: SubState,
    /// Whether it is enabled: `enabled`, `disabled`, `static`, `transient`, `masked` and others (systemctl(1),
    /// `is-enabled`).
    pub file_state: Option<String>,
    /// Whether it has a job.
    pub has_job: bool,
    /// Whether its processes are frozen; `None` before systemd 246.
    pub is_frozen: Option<bool>,
    /// Why it ended last; `None` while it has not run.
    pub result: Option<ServiceResult>,
    /// The PID of its main process.
    pub main_pid: Option<u32>,
    /// How its main process ended last.
    pub exit: Option<Exit>,
    /// The id of its current or last invocation.
    pub invocation: Option<InvocationId>,
    /// When it entered its state.
    pub since: Option<Timestamp>,
    /// Its automatic restarts since it was last started by a job.
    pub restarts: Option<u32>,
    /// The last `STATUS=` that it sent (`sd_notify(3)`).
    pub status_text: Option<String>,
    /// The path of its control group, relative to the root of its hierarchy.
    pub control_group: Option<String>,
    /// Its main unit file.
    pub fragment: Option<String>,
    /// Its drop-ins, in order of increasing precedence.
    pub drop_ins: Vec<String>,
    /// Whether its files have changed since the manager read them.
    pub needs_reload: bool,
    /// The resources that it uses, from the kernel, and its limits.
    pub resources: Resources,
}

impl Manager {
    /// Reads the state of a unit. A unit that is not loaded is loaded by this; one that does not exist has the
    /// [load state](UnitDetails::load_state) `not-found`.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer.
    pub async fn status(&self, unit: &UnitName) -> Result<UnitDetails, ManagerError> {
        let properties = self.bus.unit(unit).await?;
        let resources = self.resources_of(&properties);
        Ok(details(unit, &properties, resources))
    }

    /// Reads the resources of a unit from the kernel, and its limits from the manager where the kernel has none: where
    /// it is not active, and in some containers. A quota that the kernel lacks stays absent, because it has no effect.
    pub(crate) fn resources_of(&self, properties: &UnitProperties) -> Resources {
        let mut resources = self.resources(properties.text("ControlGroup").unwrap_or_default());
        if resources.memory_max.is_none() {
            resources.memory_max = properties.bytes_limit("MemoryMax");
            resources.cpu_quota = resources.cpu_quota.or_else(|| properties.cpu_quota());
        }
        resources
    }
}

fn details(unit: &UnitName, properties: &UnitProperties, resources: Resources) -> UnitDetails {
    let text = |name: &str| properties.text(name).map(ToOwned::to_owned);
    let status = properties.i32("ExecMainCode").zip(properties.i32("ExecMainStatus"));
    UnitDetails {
        name: unit.clone(),
        description: text("Description"),
        load_state: LoadState::from(properties.text("LoadState").unwrap_or("stub")),
        active_state: properties.active_state(),
        sub_state: properties.sub_state(),
        file_state: text("UnitFileState"),
        has_job: properties.job().is_some(),
        is_frozen: properties.is_frozen(),
        result: service_result(properties),
        main_pid: properties.u32("MainPID").filter(|pid| *pid > 0),
        exit: status.and_then(|(code, status)| exit(code, status)),
        invocation: properties.invocation(),
        since: entered_at(properties),
        restarts: properties.u32("NRestarts"),
        status_text: text("StatusText"),
        control_group: text("ControlGroup"),
        fragment: text("FragmentPath"),
        drop_ins: properties.drop_ins(),
        needs_reload: properties.flag("NeedDaemonReload") == Some(true),
        resources,
    }
}

/// Returns `Result` if the unit has run; before that it is always `success`.
pub(crate) fn service_result(properties: &UnitProperties) -> Option<ServiceResult> {
    let has_run = properties.monotonic("InactiveEnterTimestampMonotonic").is_some()
        || properties.monotonic("ExecMainExitTimestampMonotonic").is_some();
    properties.text("Result").filter(|_| has_run).map(ServiceResult::from)
}
