//! The kernel's controllers that bij uses.

use std::fmt;

/// A controller of control groups (cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Limits and counts memory and its kills.
    Memory,
    /// Limits processor time by quota and weight.
    Cpu,
    /// Counts processor time; in version 2 part of `cpu`.
    CpuAcct,
    /// Restricts processes to some processors.
    CpuSet,
    /// Limits the number of tasks.
    Pids,
}

impl Controller {
    /// All controllers, in declaration order.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Cpu, Self::CpuAcct, Self::CpuSet, Self::Pids];

    /// Returns the kernel's name of the controller.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAcct => "cpuacct",
            Self::CpuSet => "cpuset",
            Self::Pids => "pids",
        }
    }

    /// Returns the directories in which its version 1 tree may be mounted, in order of preference.
    /// Distributions mount the two cpu controllers together and link their names.
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
