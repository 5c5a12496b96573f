//! The kernel's controllers that matter here.

use std::fmt;

/// A controller of control groups (cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Memory: limit, use, kills.
    Memory,
    /// Processor time: quota and weight.
    Cpu,
    /// Processor time: accounting (a controller of its own in version 1 only).
    CpuAcct,
    /// Which processors.
    CpuSet,
    /// Number of tasks.
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Cpu, Self::CpuAcct, Self::CpuSet, Self::Pids];

    /// The kernel's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAcct => "cpuacct",
            Self::CpuSet => "cpuset",
            Self::Pids => "pids",
        }
    }

    /// The directories of a version 1 tree in which it may be mounted, in order of preference:
    /// distributions mount the two cpu controllers together and link their names.
    pub(crate) const fn v1_directories(self) -> &'static [&'static str] {
        match self {
            Self::Memory => &["memory"],
            Self::Cpu => &["cpu", "cpu,cpuacct", "cpuacct,cpu"],
            Self::CpuAcct => &["cpuacct", "cpu,cpuacct", "cpuacct,cpu"],
            Self::CpuSet => &["cpuset"],
            Self::Pids => &["pids"],
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
