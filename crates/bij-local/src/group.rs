//! Which processes belong to an attempt, where no cgroup says so.
//!
//! An attempt's processes are its process group, everything that descends from it, and what was
//! seen to belong to it before. A process that leaves its group *and* loses its parent between two
//! looks is still found by `INVOCATION_ID=` in its environment, as long as it is the supervisor's
//! own child: orphans become that, because the supervisor is a subreaper (prctl(2)).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use bij_core::InvocationId;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::ProcError;
use procfs::process::{Process, Stat, all_processes};

/// A process named so that a later one with the same pid is not mistaken for it: pid and start
/// time in clock ticks since boot.
type Name = (i32, u64);

/// The processes of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    main: i32,
    invocation: InvocationId,
    seen: BTreeSet<Name>,
}

/// One look at a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// Living processes.
    pub(crate) alive: Vec<i32>,
    /// Sum of resident memory in bytes; pages that processes share count once for each.
    pub(crate) resident: u64,
    /// Processor time of the living and of the children they have waited for, in clock ticks.
    pub(crate) cpu_ticks: u64,
}

impl Look {
    fn add(&mut self, stat: &Stat) {
        self.cpu_ticks += stat.utime + stat.stime;
        self.cpu_ticks += u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
        if is_alive(stat) {
            self.alive.push(stat.pid);
            self.resident += stat.rss * procfs::page_size();
        }
    }
}

impl Group {
    /// The group that `main` leads.
    pub(crate) fn new(main: i32, invocation: InvocationId) -> Self {
        Self { main, invocation, seen: BTreeSet::new() }
    }

    /// Looks at every process of the machine.
    pub(crate) fn look(&mut self) -> Look {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let table: BTreeMap<i32, Stat> = all_processes()
            .into_iter()
            .flatten()
            .filter_map(|process| process.ok()?.stat().ok())
            .map(|stat| (stat.pid, stat))
            .collect();
        let members: BTreeSet<Name> = table
            .values()
            .filter(|stat| stat.pid != own && self.belongs(stat, &table, own))
            .map(|stat| (stat.pid, stat.starttime))
            .collect();
        let mut look = Look::default();
        for stat in members.iter().filter_map(|(pid, _)| table.get(pid)) {
            look.add(stat);
            if !is_alive(stat) && stat.ppid == own && stat.pid != self.main {
                reap(stat.pid);
            }
        }
        self.seen = members;
        look
    }

    /// Looks only at the processes that the last look found: costs a few reads, misses new ones.
    pub(crate) fn glance(&self) -> Look {
        let mut look = Look::default();
        for (pid, started) in &self.seen {
            let stat = Process::new(*pid).and_then(|process| process.stat());
            if let Some(stat) = stat.ok().filter(|stat| stat.starttime == *started) {
                look.add(&stat);
            }
        }
        look
    }

    fn belongs(&self, stat: &Stat, table: &BTreeMap<i32, Stat>, own: i32) -> bool {
        if stat.pgrp == self.main || self.seen.contains(&(stat.pid, stat.starttime)) {
            return true;
        }
        if stat.ppid == own {
            return stat.pid == self.main || is_alive(stat) && self.is_marked(stat.pid);
        }
        let mut ancestor = stat.ppid;
        // The table is no snapshot, so a chain of parents could be a ring: bound it.
        for _ in 0..table.len() {
            let Some(stat) = table.get(&ancestor).filter(|_| ancestor > 1) else { return false };
            if stat.pid == self.main || self.seen.contains(&(stat.pid, stat.starttime)) {
                return true;
            }
            ancestor = stat.ppid;
        }
        false
    }

    fn is_marked(&self, pid: i32) -> bool {
        let environment = Process::new(pid).and_then(|process| process.environ());
        let mark = self.invocation.to_string();
        environment.is_ok_and(|variables| {
            variables.get(OsStr::new("INVOCATION_ID")).is_some_and(|id| *id == *mark)
        })
    }
}

/// The memory that processes use in fair shares: what several share counts once in all.
///
/// In bytes; `None` if the kernel has no `smaps_rollup` (4.14) or does not let us read it.
pub(crate) fn proportional(pids: &[i32]) -> Option<u64> {
    let mut total = 0;
    for pid in pids {
        let rollup = match Process::new(*pid).and_then(|process| process.smaps_rollup()) {
            Ok(rollup) => rollup,
            Err(ProcError::PermissionDenied(_)) => return None,
            // It has none without the kernel's support, and none when it is about to be gone. One
            // of them has some: the supervisor itself.
            Err(_) if Process::myself().is_ok_and(|own| own.smaps_rollup().is_ok()) => continue,
            Err(_) => return None,
        };
        let maps = rollup.memory_map_rollup.into_iter();
        total += maps.filter_map(|map| map.extension.map.get("Pss").copied()).sum::<u64>();
    }
    Some(total)
}

/// The name of a process, if it lives.
pub(crate) fn living_name(pid: i32) -> Option<String> {
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    is_alive(&stat).then_some(stat.comm)
}

fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}

/// Takes a dead orphan off the process table. Only ever a process of an attempt: the children of
/// the embedding program are its own.
fn reap(pid: i32) {
    // Whoever reaped it first is as good.
    let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
}
