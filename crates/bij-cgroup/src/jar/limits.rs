//! Limits of a control group, and where each is written.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use bij_core::definition::CpuSet;
use bij_core::{Bytes, CpuQuota, Limit};
use thiserror::Error;

use crate::{Cgroup, Controller, Hierarchy};

/// What a control group is to hold its processes to; absent means "as the group above".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JarLimits {
    /// Memory, as `MemoryMax=`.
    pub memory: Option<Limit<Bytes>>,
    /// Swap, as `MemorySwapMax=`.
    pub swap: Option<Limit<Bytes>>,
    /// Processor time, as `CPUQuota=`.
    pub cpu: Option<Limit<CpuQuota>>,
    /// Processors, as `AllowedCPUs=`.
    pub cpus: Option<CpuSet>,
    /// Tasks, as `TasksMax=`.
    pub tasks: Option<Limit<u64>>,
    /// Whether the kernel kills all of its processes when it kills one, as `OOMPolicy=kill`.
    pub kill_together: bool,
}

/// One of the [`JarLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// [`JarLimits::memory`].
    Memory,
    /// [`JarLimits::swap`].
    Swap,
    /// [`JarLimits::cpu`].
    Cpu,
    /// [`JarLimits::cpus`].
    Cpus,
    /// [`JarLimits::tasks`].
    Tasks,
    /// [`JarLimits::kill_together`].
    KillTogether,
}

impl fmt::Display for Setting {
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

/// A limit that has no effect here.
#[derive(Debug, Error)]
#[error("{setting} has no effect")]
pub struct MissingLimit {
    /// Which.
    pub setting: Setting,
    /// Why.
    #[source]
    pub reason: MissingReason,
}

/// Why a limit has no effect.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MissingReason {
    /// The controller is not there, not handed down to us, or lacks this function.
    #[error("the {controller} controller offers no {file} here")]
    Absent {
        /// The controller.
        controller: Controller,
        /// The file that is missing.
        file: &'static str,
    },
    /// The kernel did not take the value.
    #[error("cannot write {value:?} to {}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl JarLimits {
    /// Writes the limits to a group that is new, and returns those without effect.
    pub(super) fn apply(&self, hierarchy: Hierarchy, group: &Cgroup) -> Vec<MissingLimit> {
        let orders = match hierarchy {
            Hierarchy::Unified => self.orders(),
            Hierarchy::Hybrid | Hierarchy::Legacy => self.v1_orders(),
        };
        let mut missing = Vec::new();
        for Order { setting, controller, file, value } in orders {
            let directory = match hierarchy {
                Hierarchy::Unified => group.unified(),
                Hierarchy::Hybrid | Hierarchy::Legacy => group.controller(controller),
            };
            let path = directory.map(|directory| directory.join(file)).filter(|p| p.exists());
            let done = match path {
                None => Err(MissingReason::Absent { controller, file }),
                Some(path) => write(&path, value),
            };
            missing.extend(done.err().map(|reason| MissingLimit { setting, reason }));
        }
        missing
    }

    /// What is written where in version 2.
    fn orders(&self) -> Vec<Order> {
        use Controller::{Cpu, CpuSet, Memory, Pids};
        let mut orders = Vec::new();
        let mut order = |setting, controller, file, value| {
            orders.push(Order { setting, controller, file, value: Value::Text(value) });
        };
        if let Some(limit) = self.memory {
            order(Setting::Memory, Memory, "memory.max", max_or(limit.at().map(Bytes::get)));
        }
        if let Some(limit) = self.swap {
            order(Setting::Swap, Memory, "memory.swap.max", max_or(limit.at().map(Bytes::get)));
        }
        if self.kill_together {
            order(Setting::KillTogether, Memory, "memory.oom.group", "1".to_owned());
        }
        if let Some(limit) = self.cpu {
            let value = format!("{} {PERIOD_MICROS}", max_or(limit.at().map(quota_of_period)));
            order(Setting::Cpu, Cpu, "cpu.max", value);
        }
        if let Some(cpus) = &self.cpus {
            order(Setting::Cpus, CpuSet, "cpuset.cpus", cpus.to_string());
        }
        if let Some(limit) = self.tasks {
            order(Setting::Tasks, Pids, "pids.max", max_or(limit.at()));
        }
        orders
    }

    /// What is written where in version 1.
    fn v1_orders(&self) -> Vec<Order> {
        use Controller::{Cpu, CpuSet, Memory, Pids};
        let mut orders = Vec::new();
        let mut order = |setting, controller, file, value| {
            orders.push(Order { setting, controller, file, value });
        };
        let text = Value::Text;
        if let Some(limit) = self.memory {
            let value = none_or(limit.at().map(Bytes::get));
            order(Setting::Memory, Memory, "memory.limit_in_bytes", text(value));
        }
        if let Some(limit) = self.swap {
            // Version 1 limits the sum, and only after memory itself has its limit.
            let memory = self.memory.and_then(Limit::at);
            let sum = limit.at().zip(memory).and_then(|(swap, memory)| swap.checked_add(memory));
            let value = none_or(sum.map(Bytes::get));
            order(Setting::Swap, Memory, "memory.memsw.limit_in_bytes", text(value));
        }
        if self.kill_together {
            order(Setting::KillTogether, Memory, "memory.oom.group", text("1".to_owned()));
        }
        if let Some(limit) = self.cpu {
            let value = none_or(limit.at().map(quota_of_period));
            order(Setting::Cpu, Cpu, "cpu.cfs_period_us", text(PERIOD_MICROS.to_string()));
            order(Setting::Cpu, Cpu, "cpu.cfs_quota_us", text(value));
        }
        if let Some(cpus) = &self.cpus {
            order(Setting::Cpus, CpuSet, "cpuset.mems", Value::AsAbove);
            order(Setting::Cpus, CpuSet, "cpuset.cpus", text(cpus.to_string()));
        }
        if let Some(limit) = self.tasks {
            order(Setting::Tasks, Pids, "pids.max", text(max_or(limit.at())));
        }
        orders
    }
}

struct Order {
    setting: Setting,
    controller: Controller,
    file: &'static str,
    value: Value,
}

enum Value {
    Text(String),
    /// What the group above has: version 1 starts a `cpuset` group empty.
    AsAbove,
}

/// The kernel's own default period, which systemd uses as well.
const PERIOD_MICROS: u64 = 100_000;

fn quota_of_period(quota: CpuQuota) -> u64 {
    let share = u128::from(quota.micros_per_sec()) * u128::from(PERIOD_MICROS) / 1_000_000;
    // The kernel takes no quota below one millisecond.
    u64::try_from(share).unwrap_or(u64::MAX).max(1_000)
}

fn max_or(value: Option<u64>) -> String {
    value.map_or_else(|| "max".to_owned(), |value| value.to_string())
}

fn none_or(value: Option<u64>) -> String {
    value.map_or_else(|| "-1".to_owned(), |value| value.to_string())
}

fn write(path: &Path, value: Value) -> Result<(), MissingReason> {
    let refused = |value, source| MissingReason::Refused { path: path.to_owned(), value, source };
    let text = match value {
        Value::Text(text) => text,
        Value::AsAbove => {
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

    fn all() -> JarLimits {
        JarLimits {
            memory: Some(Limit::At(Bytes::new(8 << 20))),
            swap: Some(Limit::At(Bytes::new(0))),
            cpu: Some(Limit::At("150%".parse().unwrap())),
            cpus: Some("0-1".parse().unwrap()),
            tasks: Some(Limit::At(5)),
            kill_together: true,
        }
    }

    fn written(orders: Vec<Order>) -> Vec<String> {
        let line = |Order { file, value, .. }| match value {
            Value::Text(text) => format!("{file} {text}"),
            Value::AsAbove => format!("{file} <as above>"),
        };
        orders.into_iter().map(line).collect()
    }

    #[test]
    fn version_2_is_told_in_its_words() {
        assert_eq!(
            written(all().orders()),
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
            written(all().v1_orders()),
            [
                "memory.limit_in_bytes 8388608",
                "memory.memsw.limit_in_bytes 8388608",
                "memory.oom.group 1",
                "cpu.cfs_period_us 100000",
                "cpu.cfs_quota_us 150000",
                "cpuset.mems <as above>",
                "cpuset.cpus 0-1",
                "pids.max 5",
            ]
        );
    }

    #[test]
    fn no_limit_is_said_and_not_left_out() {
        let none =
            JarLimits { memory: Some(Limit::Max), cpu: Some(Limit::Max), ..JarLimits::default() };
        assert_eq!(written(none.orders()), ["memory.max max", "cpu.max max 100000"]);
        assert_eq!(
            written(none.v1_orders()),
            ["memory.limit_in_bytes -1", "cpu.cfs_period_us 100000", "cpu.cfs_quota_us -1"]
        );
        assert!(written(JarLimits::default().orders()).is_empty());
    }
}
