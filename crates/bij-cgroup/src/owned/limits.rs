//! Limits of a control group, and the files that hold them.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use bij_core::spec::CpuSet;
use bij_core::{Bytes, CpuQuota, Limit};
use thiserror::Error;

use crate::{Cgroup, Controller, Hierarchy};

/// Limits of a control group; an absent one is that of the group above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Memory limit, as `MemoryMax=`.
    pub memory: Option<Limit<Bytes>>,
    /// Swap limit, as `MemorySwapMax=`.
    pub swap: Option<Limit<Bytes>>,
    /// CPU limit, as `CPUQuota=`.
    pub cpu: Option<Limit<CpuQuota>>,
    /// Processors that may be used, as `AllowedCPUs=`.
    pub cpus: Option<CpuSet>,
    /// Limit of the number of tasks, as `TasksMax=`.
    pub tasks: Option<Limit<u64>>,
    /// Whether the kernel kills all of its processes when it kills one, as `OOMPolicy=kill`.
    pub kill_together: bool,
}

/// Names one of the [`CgroupLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CgroupSetting {
    /// The memory limit in [`CgroupLimits::memory`].
    Memory,
    /// The swap limit in [`CgroupLimits::swap`].
    Swap,
    /// The CPU limit in [`CgroupLimits::cpu`].
    Cpu,
    /// The set of processors in [`CgroupLimits::cpus`].
    Cpus,
    /// The limit of tasks in [`CgroupLimits::tasks`].
    Tasks,
    /// The flag [`CgroupLimits::kill_together`] for OOM kills.
    KillTogether,
}

impl fmt::Display for CgroupSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "the memory limit",
            Self::Swap => "the swap limit",
            Self::Cpu => "the processor quota",
            Self::Cpus => "the set of processors",
            Self::Tasks => "the limit of tasks",
            Self::KillTogether => "killing all for memory at once",
        })
    }
}

/// A limit that has no effect on this machine.
#[derive(Debug, Error)]
#[error("{setting} has no effect")]
pub struct MissingLimit {
    /// The limit that was requested.
    pub setting: CgroupSetting,
    /// Why it has no effect.
    #[source]
    pub reason: MissingReason,
}

/// Why a limit has no effect.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MissingReason {
    /// The controller is missing, is not enabled for this group, or lacks this function.
    #[error("the {controller} controller offers no {file} here")]
    Absent {
        /// The controller that the limit needs.
        controller: Controller,
        /// The file that is missing.
        file: &'static str,
    },
    /// The kernel refused the value.
    #[error("cannot write {value:?} to {}", path.display())]
    Refused {
        /// The file of the limit.
        path: PathBuf,
        /// The value that was written.
        value: String,
        /// Error that the system returned.
        #[source]
        source: io::Error,
    },
}

impl CgroupLimits {
    /// Writes the limits to a group, and returns those without effect.
    pub(super) fn apply(&self, hierarchy: Hierarchy, group: &Cgroup) -> Vec<MissingLimit> {
        let writes = match hierarchy {
            Hierarchy::Unified => self.v2_writes(),
            Hierarchy::Hybrid | Hierarchy::Legacy => self.v1_writes(),
        };
        let mut missing = Vec::new();
        for FileWrite { setting, controller, file, value } in writes {
            let directory = match hierarchy {
                Hierarchy::Unified => group.unified(),
                Hierarchy::Hybrid | Hierarchy::Legacy => group.controller(controller),
            };
            let path = directory.map(|directory| directory.join(file)).filter(|p| p.exists());
            let result = match path {
                None => Err(MissingReason::Absent { controller, file }),
                Some(path) => write(&path, value),
            };
            missing.extend(result.err().map(|reason| MissingLimit { setting, reason }));
        }
        missing
    }

    /// Returns the writes for a version 2 group.
    fn v2_writes(&self) -> Vec<FileWrite> {
        use Controller::{Cpu, CpuSet, Memory, Pids};
        let mut writes = Vec::new();
        let mut add = |setting, controller, file, value| {
            writes.push(FileWrite { setting, controller, file, value: FileValue::Text(value) });
        };
        if let Some(limit) = self.memory {
            add(
                CgroupSetting::Memory,
                Memory,
                "memory.max",
                value_or_max(limit.at().map(Bytes::get)),
            );
        }
        if let Some(limit) = self.swap {
            add(
                CgroupSetting::Swap,
                Memory,
                "memory.swap.max",
                value_or_max(limit.at().map(Bytes::get)),
            );
        }
        if self.kill_together {
            add(CgroupSetting::KillTogether, Memory, "memory.oom.group", "1".to_owned());
        }
        if let Some(limit) = self.cpu {
            let value =
                format!("{} {PERIOD_MICROS}", value_or_max(limit.at().map(quota_per_period)));
            add(CgroupSetting::Cpu, Cpu, "cpu.max", value);
        }
        if let Some(cpus) = &self.cpus {
            add(CgroupSetting::Cpus, CpuSet, "cpuset.cpus", cpus.to_string());
        }
        if let Some(limit) = self.tasks {
            add(CgroupSetting::Tasks, Pids, "pids.max", value_or_max(limit.at()));
        }
        writes
    }

    /// Returns the writes for a version 1 group.
    fn v1_writes(&self) -> Vec<FileWrite> {
        use Controller::{Cpu, CpuSet, Memory, Pids};
        let mut writes = Vec::new();
        let mut add = |setting, controller, file, value| {
            writes.push(FileWrite { setting, controller, file, value });
        };
        let text = FileValue::Text;
        if let Some(limit) = self.memory {
            let value = value_or_minus_one(limit.at().map(Bytes::get));
            add(CgroupSetting::Memory, Memory, "memory.limit_in_bytes", text(value));
        }
        if let Some(limit) = self.swap {
            // Version 1 limits the sum of memory and swap, and takes it only after the memory limit.
            let memory = self.memory.and_then(Limit::at);
            let sum = limit.at().zip(memory).and_then(|(swap, memory)| swap.checked_add(memory));
            let value = value_or_minus_one(sum.map(Bytes::get));
            add(CgroupSetting::Swap, Memory, "memory.memsw.limit_in_bytes", text(value));
        }
        if self.kill_together {
            add(CgroupSetting::KillTogether, Memory, "memory.oom.group", text("1".to_owned()));
        }
        if let Some(limit) = self.cpu {
            let value = value_or_minus_one(limit.at().map(quota_per_period));
            add(CgroupSetting::Cpu, Cpu, "cpu.cfs_period_us", text(PERIOD_MICROS.to_string()));
            add(CgroupSetting::Cpu, Cpu, "cpu.cfs_quota_us", text(value));
        }
        if let Some(cpus) = &self.cpus {
            add(CgroupSetting::Cpus, CpuSet, "cpuset.mems", FileValue::Inherited);
            add(CgroupSetting::Cpus, CpuSet, "cpuset.cpus", text(cpus.to_string()));
        }
        if let Some(limit) = self.tasks {
            add(CgroupSetting::Tasks, Pids, "pids.max", text(value_or_max(limit.at())));
        }
        writes
    }
}

/// One value for one file of a controller.
struct FileWrite {
    setting: CgroupSetting,
    controller: Controller,
    file: &'static str,
    value: FileValue,
}

enum FileValue {
    Text(String),
    /// The value of the group above: version 1 creates a `cpuset` group without any.
    Inherited,
}

/// The kernel's default period, which systemd uses as well.
const PERIOD_MICROS: u64 = 100_000;

fn quota_per_period(quota: CpuQuota) -> u64 {
    let share = u128::from(quota.micros_per_sec()) * u128::from(PERIOD_MICROS) / 1_000_000;
    // The kernel refuses a quota below one millisecond.
    u64::try_from(share).unwrap_or(u64::MAX).max(1_000)
}

fn value_or_max(value: Option<u64>) -> String {
    value.map_or_else(|| "max".to_owned(), |value| value.to_string())
}

fn value_or_minus_one(value: Option<u64>) -> String {
    value.map_or_else(|| "-1".to_owned(), |value| value.to_string())
}

fn write(path: &Path, value: FileValue) -> Result<(), MissingReason> {
    let refused = |value, source| MissingReason::Refused { path: path.to_owned(), value, source };
    let text = match value {
        FileValue::Text(text) => text,
        FileValue::Inherited => {
            let above = path.parent().and_then(Path::parent).zip(path.file_name());
            let above = above.map(|(group, name)| group.join(name)).unwrap_or_default();
            fs::read_to_string(above).map_err(|source| refused(String::new(), source))?
        }
    };
    fs::write(path, text.trim()).map_err(|source| refused(text, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> CgroupLimits {
        CgroupLimits {
            memory: Some(Limit::At(Bytes::new(8 << 20))),
            swap: Some(Limit::At(Bytes::new(0))),
            cpu: Some(Limit::At("150%".parse().unwrap())),
            cpus: Some("0-1".parse().unwrap()),
            tasks: Some(Limit::At(5)),
            kill_together: true,
        }
    }

    fn lines(writes: Vec<FileWrite>) -> Vec<String> {
        let line = |FileWrite { file, value, .. }| match value {
            FileValue::Text(text) => format!("{file} {text}"),
            FileValue::Inherited => format!("{file} <inherited>"),
        };
        writes.into_iter().map(line).collect()
    }

    #[test]
    fn version_2_limits_go_to_the_files_of_version_2() {
        assert_eq!(
            lines(all().v2_writes()),
            [
                "memory.max 8388608",
                "memory.swap.max 0",
                "memory.oom.group 1",
                "cpu.max 150000 100000",
                "cpuset.cpus 0-1",
                "pids.max 5",
            ]
        );
    }

    #[test]
    fn version_1_limits_memory_before_memory_and_swap() {
        assert_eq!(
            lines(all().v1_writes()),
            [
                "memory.limit_in_bytes 8388608",
                "memory.memsw.limit_in_bytes 8388608",
                "memory.oom.group 1",
                "cpu.cfs_period_us 100000",
                "cpu.cfs_quota_us 150000",
                "cpuset.mems <inherited>",
                "cpuset.cpus 0-1",
                "pids.max 5",
            ]
        );
    }

    #[test]
    fn an_explicit_absence_of_a_limit_is_written() {
        let none = CgroupLimits {
            memory: Some(Limit::Max),
            cpu: Some(Limit::Max),
            ..CgroupLimits::default()
        };
        assert_eq!(lines(none.v2_writes()), ["memory.max max", "cpu.max max 100000"]);
        assert_eq!(
            lines(none.v1_writes()),
            ["memory.limit_in_bytes -1", "cpu.cfs_period_us 100000", "cpu.cfs_quota_us -1"]
        );
        assert!(lines(CgroupLimits::default().v2_writes()).is_empty());
    }
}
