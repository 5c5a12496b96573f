//! Finds the processes of an attempt where no cgroup contains them.
//!
//! The processes of an attempt are its process group, their descendants, and those found by an
//! earlier scan. A process that leaves its group *and* loses its parent between two scans is still
//! found by `INVOCATION_ID=` in its environment if it is a child of the supervisor; orphans are,
//! because the supervisor is a subreaper (prctl(2)).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use bij_core::InvocationId;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::ProcError;
use procfs::process::{Process, Stat, all_processes};

/// Pid and start time in clock ticks since boot, which together survive the reuse of a pid.
type ProcessKey = (i32, u64);

/// The known processes of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct AttemptProcesses {
    main: i32,
    invocation: InvocationId,
    seen: BTreeSet<ProcessKey>,
}

/// The processes of an attempt at one time, and what they use.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessSample {
    /// Pids of the living processes.
    pub(crate) alive: Vec<i32>,
    /// Sum of resident memory in bytes; pages that processes share count once for each.
    pub(crate) resident: u64,
    /// Processor time of the processes and of the children they have waited for, in clock ticks.
    pub(crate) cpu_ticks: u64,
}

impl ProcessSample {
    fn add(&mut self, stat: &Stat) {
        self.cpu_ticks += stat.utime + stat.stime;
        self.cpu_ticks += u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
        if is_alive(stat) {
            self.alive.push(stat.pid);
            self.resident += stat.rss * procfs::page_size();
        }
    }
}

impl AttemptProcesses {
    /// Tracks the processes of the attempt whose main process is `main`.
    pub(crate) fn new(main: i32, invocation: InvocationId) -> Self {
        Self { main, invocation, seen: BTreeSet::new() }
    }

    /// Scans every process of the machine.
    pub(crate) fn scan(&mut self) -> ProcessSample {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let table: BTreeMap<i32, Stat> = all_processes()
            .into_iter()
            .flatten()
            .filter_map(|process| process.ok()?.stat().ok())
            .map(|stat| (stat.pid, stat))
            .collect();
        let members: BTreeSet<ProcessKey> = table
            .values()
            .filter(|stat| stat.pid != own && self.belongs(stat, &table, own))
            .map(|stat| (stat.pid, stat.starttime))
            .collect();
        let mut sample = ProcessSample::default();
        for stat in members.iter().filter_map(|(pid, _)| table.get(pid)) {
            sample.add(stat);
            if !is_alive(stat) && stat.ppid == own && stat.pid != self.main {
                reap(stat.pid);
            }
        }
        self.seen = members;
        sample
    }

    /// Reads only the processes that the last scan found. Cheap, but misses new processes.
    pub(crate) fn scan_known(&self) -> ProcessSample {
        let mut sample = ProcessSample::default();
        for (pid, started) in &self.seen {
            let stat = Process::new(*pid).and_then(|process| process.stat());
            if let Some(stat) = stat.ok().filter(|stat| stat.starttime == *started) {
                sample.add(&stat);
            }
        }
        sample
    }

    fn belongs(&self, stat: &Stat, table: &BTreeMap<i32, Stat>, own: i32) -> bool {
        if stat.pgrp == self.main || self.seen.contains(&(stat.pid, stat.starttime)) {
            return true;
        }
        if stat.ppid == own {
            return stat.pid == self.main || is_alive(stat) && self.has_invocation_id(stat.pid);
        }
        let mut ancestor = stat.ppid;
        // The table is no snapshot, so parents could form a cycle: bound the walk.
        for _ in 0..table.len() {
            let Some(stat) = table.get(&ancestor).filter(|_| ancestor > 1) else { return false };
            if stat.pid == self.main || self.seen.contains(&(stat.pid, stat.starttime)) {
                return true;
            }
            ancestor = stat.ppid;
        }
        false
    }

    fn has_invocation_id(&self, pid: i32) -> bool {
        let environment = Process::new(pid).and_then(|process| process.environ());
        let id = self.invocation.to_string();
        environment.is_ok_and(|variables| {
            variables.get(OsStr::new("INVOCATION_ID")).is_some_and(|value| *value == *id)
        })
    }
}

/// Returns the proportional set size of processes in bytes: shared memory counts once.
///
/// `None` if the kernel has no `smaps_rollup` (4.14) or denies reading it.
pub(crate) fn proportional_memory(pids: &[i32]) -> Option<u64> {
    let mut total = 0;
    for pid in pids {
        let rollup = match Process::new(*pid).and_then(|process| process.smaps_rollup()) {
            Ok(rollup) => rollup,
            Err(ProcError::PermissionDenied(_)) => return None,
            // Either the process is exiting or the kernel has no support; with support the
            // supervisor's own file is readable.
            Err(_) if Process::myself().is_ok_and(|own| own.smaps_rollup().is_ok()) => continue,
            Err(_) => return None,
        };
        let maps = rollup.memory_map_rollup.into_iter();
        total += maps.filter_map(|map| map.extension.map.get("Pss").copied()).sum::<u64>();
    }
    Some(total)
}

/// Returns the name of a process if it is alive.
pub(crate) fn name_if_alive(pid: i32) -> Option<String> {
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    is_alive(&stat).then_some(stat.comm)
}

fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}

/// Reaps a dead orphan of an attempt. Other children belong to the embedding program.
fn reap(pid: i32) {
    // It may have been reaped already.
    let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
}
