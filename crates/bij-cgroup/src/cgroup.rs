//! One control group and the kernel's counters for it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bij_core::{Bytes, Resources};

use crate::{Controller, Hierarchy, parse};

/// One control group, with its directory in each hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    unified: Option<PathBuf>,
    controllers: BTreeMap<Controller, PathBuf>,
}

/// The kernel's counters of a control group; `None` where this kernel does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CgroupReading {
    /// Memory, processor time and the limits in force.
    pub resources: Resources,
    /// Processes killed for lack of memory since the group was created.
    ///
    /// Version 2 includes the groups below it, version 1 does not.
    pub oom_kills: Option<u64>,
    /// How often the memory limit was hit since the group was created.
    pub memory_limit_hits: Option<u64>,
}

impl Cgroup {
    pub(crate) fn new(
        hierarchy: Hierarchy,
        unified: Option<PathBuf>,
        controllers: BTreeMap<Controller, PathBuf>,
    ) -> Self {
        Self { hierarchy, unified, controllers }
    }

    /// Whether it exists in any hierarchy.
    pub fn exists(&self) -> bool {
        self.directories().any(Path::is_dir)
    }

    /// Reads all counters.
    ///
    /// The group may vanish at any time: a counter that cannot be read is `None`.
    pub fn read(&self) -> CgroupReading {
        let mut resources = self.resources();
        // A hybrid tree has the pressure files beside the version 1 controllers.
        let pressure = self.unified().and_then(|group| read(group, "memory.pressure"));
        resources.memory_pressure = pressure.as_deref().and_then(parse::pressure);
        match self.hierarchy {
            Hierarchy::Unified => {
                let events = self.unified().and_then(|group| read(group, "memory.events"));
                let event = |key| events.as_deref().and_then(|text| parse::keyed(text, key));
                let (oom_kills, memory_limit_hits) = (event("oom_kill"), event("max"));
                CgroupReading { resources, oom_kills, memory_limit_hits }
            }
            Hierarchy::Hybrid | Hierarchy::Legacy => {
                let memory = |name| read(self.controller(Controller::Memory)?, name);
                let hits = |name| memory(name).as_deref().and_then(parse::number);
                let oom = memory("memory.oom_control");
                let memory_limit_hits = hits("memory.failcnt").map(|memory| {
                    // A charge that would pass both limits counts as a hit of the sum only.
                    memory.saturating_add(hits("memory.memsw.failcnt").unwrap_or(0))
                });
                let oom_kills = oom.as_deref().and_then(|text| parse::keyed(text, "oom_kill"));
                CgroupReading { resources, oom_kills, memory_limit_hits }
            }
        }
    }

    /// Reads the resources in use and the limits in force, without pressure. Faster than
    /// [`read`](Self::read), for callers with many groups.
    pub fn resources(&self) -> Resources {
        match self.hierarchy {
            Hierarchy::Unified => self.unified().map(resources).unwrap_or_default(),
            Hierarchy::Hybrid | Hierarchy::Legacy => self.v1_resources(),
        }
    }

    /// Whether all of its processes are frozen: `frozen` of `cgroup.events`, since Linux 5.2. `None` without
    /// a version 2 group.
    pub fn is_frozen(&self) -> Option<bool> {
        let events = read(self.unified()?, "cgroup.events")?;
        parse::keyed(&events, "frozen").map(|frozen| frozen == 1)
    }

    /// Kills all of its processes at once, forks included: `cgroup.kill`, since Linux 5.14.
    ///
    /// # Errors
    /// If the kernel refuses; [`io::ErrorKind::Unsupported`] where it has no such file.
    pub fn kill(&self) -> io::Result<()> {
        let group = self.unified().ok_or(io::ErrorKind::Unsupported)?;
        match fs::OpenOptions::new().write(true).open(group.join("cgroup.kill")) {
            Ok(mut file) => file.write_all(b"1"),
            Err(error) if error.kind() == io::ErrorKind::NotFound && group.exists() => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the ids of the processes in it and in the groups below it, in no order.
    pub fn processes(&self) -> Vec<u32> {
        // In version 1 all hierarchies of an experiment's group hold the same processes; prefer memory,
        // whose limit matters most.
        let directory = match self.hierarchy {
            Hierarchy::Unified => self.unified.as_ref(),
            Hierarchy::Hybrid | Hierarchy::Legacy => self
                .controllers
                .get(&Controller::Memory)
                .or_else(|| self.controllers.values().next())
                .or(self.unified.as_ref()),
        };
        let mut processes = Vec::new();
        let mut left: Vec<PathBuf> = directory.cloned().into_iter().collect();
        while let Some(directory) = left.pop() {
            if let Ok(text) = fs::read_to_string(directory.join("cgroup.procs")) {
                processes.extend(parse::processes(&text));
            }
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(inner.map(|entry| entry.path()));
        }
        processes
    }

    /// Returns its directory in the version 2 tree.
    pub(crate) fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// Returns its directory in the version 1 tree of a controller.
    pub(crate) fn controller(&self, controller: Controller) -> Option<&Path> {
        self.controllers.get(&controller).map(PathBuf::as_path)
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        self.unified.iter().chain(self.controllers.values()).map(PathBuf::as_path)
    }

    fn v1_resources(&self) -> Resources {
        let file = |controller, name| read(self.controller(controller)?, name);
        let memory = |name| file(Controller::Memory, name);
        let quota = file(Controller::Cpu, "cpu.cfs_quota_us");
        let period = || file(Controller::Cpu, "cpu.cfs_period_us");
        let limit = memory("memory.limit_in_bytes");
        let used = file(Controller::CpuAcct, "cpuacct.usage");
        Resources {
            memory_current: bytes(memory("memory.usage_in_bytes").as_deref()),
            memory_peak: bytes(memory("memory.max_usage_in_bytes").as_deref()),
            memory_max: limit.as_deref().and_then(parse::v1_memory_limit),
            cpu_usage_nsec: used.as_deref().and_then(parse::number),
            cpu_quota: quota.and_then(|quota| parse::v1_cpu_quota(&quota, period)),
            memory_pressure: None,
        }
    }
}

/// Reads the resources of a version 2 group.
fn resources(group: &Path) -> Resources {
    let file = |name| read(group, name);
    let cpu = file("cpu.stat");
    let used = cpu.as_deref().and_then(|text| parse::keyed(text, "usage_usec"));
    Resources {
        memory_current: bytes(file("memory.current").as_deref()),
        // Since Linux 5.19; JetPack 6 has none.
        memory_peak: bytes(file("memory.peak").as_deref()),
        memory_max: file("memory.max").as_deref().and_then(parse::memory_max),
        cpu_usage_nsec: used.and_then(|micros| micros.checked_mul(1_000)),
        // Only with CONFIG_CFS_BANDWIDTH in the kernel, whatever systemd reports.
        cpu_quota: file("cpu.max").as_deref().and_then(parse::cpu_max),
        memory_pressure: None,
    }
}

/// Reads a file; `None` after any error.
///
/// The kernel returns a small file in one read, so neither its size nor its end is checked: with a
/// thousand groups that saves half of the time.
fn read(group: &Path, name: &str) -> Option<String> {
    let mut file = fs::File::open(group.join(name)).ok()?;
    let mut text = vec![0; LARGEST_FILE];
    let length = file.read(&mut text).ok()?;
    text.truncate(length);
    String::from_utf8(text).ok()
}

/// Buffer size; `cpu.stat`, the largest of these files, has about 300 bytes.
const LARGEST_FILE: usize = 4096;

fn bytes(text: Option<&str>) -> Option<Bytes> {
    text.and_then(parse::number).map(Bytes::new)
}

#[cfg(test)]
mod tests;
