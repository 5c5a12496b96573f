//! The state of a supervised experiment: over its control socket while it is supervised, afterwards
//! from its state file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bij_core::{
    ActiveState, BootId, Bytes, CpuQuota, Evidence, ExperimentId, InvocationId, Layout, Limit,
    Percent, Resources, ServiceResult, SubState, Timestamp, UnitStatus,
};
use bij_host::files;
use serde::{Deserialize, Serialize};

/// The state of a supervised experiment, as it stands in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SupervisedState {
    pub(crate) id: ExperimentId,
    pub(crate) boot: BootId,
    pub(crate) active: ActiveState,
    pub(crate) sub: SubState,
    pub(crate) result: Option<ServiceResult>,
    pub(crate) main_pid: Option<u32>,
    pub(crate) invocation: Option<InvocationId>,
    pub(crate) since: Timestamp,
    pub(crate) restarts: u32,
    pub(crate) status_text: Option<String>,
    /// Whether the newest attempt was up.
    pub(crate) became_ready: bool,
    /// Files by which a process enters the attempt's cgroup; empty without one.
    pub(crate) cgroup_procs: Vec<PathBuf>,
    /// Whether the processes are frozen; only while the experiment is supervised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) frozen: bool,
    /// Evidence counted when the processes of a lost supervisor were killed; the next start records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted: Option<Box<Evidence>>,
    /// What the experiment uses now; never in the state file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
}

/// [`Resources`], as it goes over the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    memory_current: Option<Bytes>,
    memory_peak: Option<Bytes>,
    memory_max: Option<Limit<Bytes>>,
    cpu_usage_nsec: Option<u64>,
    cpu_quota: Option<Limit<CpuQuota>>,
    memory_pressure: Option<Percent>,
}

impl From<Resources> for Usage {
    fn from(resources: Resources) -> Self {
        let Resources {
            memory_current,
            memory_peak,
            memory_max,
            cpu_usage_nsec,
            cpu_quota,
            memory_pressure,
        } = resources;
        Self { memory_current, memory_peak, memory_max, cpu_usage_nsec, cpu_quota, memory_pressure }
    }
}

impl From<Usage> for Resources {
    fn from(usage: Usage) -> Self {
        Self {
            memory_current: usage.memory_current,
            memory_peak: usage.memory_peak,
            memory_max: usage.memory_max,
            cpu_usage_nsec: usage.cpu_usage_nsec,
            cpu_quota: usage.cpu_quota,
            memory_pressure: usage.memory_pressure,
        }
    }
}

impl SupervisedState {
    /// Returns the state of an experiment without attempts.
    pub(crate) fn new(id: ExperimentId, boot: BootId, since: Timestamp) -> Self {
        Self {
            id,
            boot,
            active: ActiveState::Inactive,
            sub: SubState::Dead,
            result: None,
            main_pid: None,
            invocation: None,
            since,
            restarts: 0,
            status_text: None,
            became_ready: false,
            cgroup_procs: Vec::new(),
            frozen: false,
            counted: None,
            usage: None,
        }
    }

    /// Returns whether no process of the experiment should exist.
    pub(crate) fn is_down(&self) -> bool {
        self.active.is_down()
    }

    /// Converts the state into the type of the port.
    pub(crate) fn into_unit_status(self) -> UnitStatus {
        let mut status = UnitStatus::down(self.id);
        status.active_state = self.active;
        status.sub_state = self.sub;
        status.result = self.result;
        status.main_pid = self.main_pid;
        status.invocation = self.invocation;
        status.since = Some(self.since);
        status.restarts = Some(self.restarts);
        status.frozen = self.frozen;
        status.status_text = self.status_text;
        status.resources = self.usage.map(Resources::from).unwrap_or_default();
        status
    }

    /// Writes the state file, which outlives the supervisor.
    pub(crate) fn write(&self, layout: &Layout) -> io::Result<()> {
        let path = state_path(layout, &self.id);
        let text = serde_json::to_vec(&Self { usage: None, ..self.clone() })?;
        files::put(&path, &text, 0o644)
    }

    /// Reads the state file of the last supervisor. Returns `None` if it is missing or damaged.
    pub(crate) fn read(layout: &Layout, id: &ExperimentId) -> Option<Self> {
        let text = fs::read(state_path(layout, id)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Returns the experiments that have a state file, in alphabetical order.
    pub(crate) fn ids(layout: &Layout) -> Vec<ExperimentId> {
        let entries = fs::read_dir(layout.local()).into_iter().flatten().flatten();
        let mut ids: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                ExperimentId::new(name.to_str()?.strip_suffix(".json")?).ok()
            })
            .collect();
        ids.sort();
        ids
    }

    /// Removes the state file. Returns whether it existed.
    pub(crate) fn forget(layout: &Layout, id: &ExperimentId) -> io::Result<bool> {
        match fs::remove_file(state_path(layout, id)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn state_path(layout: &Layout, id: &ExperimentId) -> PathBuf {
    file_in(&layout.local(), id, "json")
}

/// Returns the path of an experiment's file. The id may contain dots, so the extension is appended.
pub(crate) fn file_in(directory: &Path, id: &ExperimentId, extension: &str) -> PathBuf {
    directory.join(format!("{id}.{extension}"))
}
