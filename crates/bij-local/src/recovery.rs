//! Recovers from a killed supervisor: kills its processes, removes its cgroups, closes its attempts.
//!
//! The caller holds the experiment's lock, so no other supervisor runs it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bij_cgroup::{Cgroup, CgroupRoot, Controller, Hierarchy, Membership};
use bij_core::port::{Closing, LedgerError};
use bij_core::{
    AttemptEnd, Cause, Evidence, InvocationId, LeftBehind, PeakSource, ServiceResult, Timestamp,
    Witness,
};
use bij_host::read_progress;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::all_processes;

use crate::attempt_processes::name_if_alive;
use crate::status::SupervisedState;
use crate::supervisor::SupervisorContext;

/// How long killed processes may take to disappear before their cgroup is removed.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);

/// Kills the processes that the last supervisor left running and closes its unclosed attempts.
pub(crate) async fn close_unclosed(
    supervisor: &SupervisorContext,
    previous: Option<SupervisedState>,
    id: &bij_core::ExperimentId,
) -> Result<(), LedgerError> {
    let previous = previous.filter(|state| state.boot == supervisor.boot && !state.is_down());
    let mut counted = Evidence::default();
    if let Some(before) = previous.as_ref().and_then(|state| state.counted.as_deref()) {
        counted = before.clone();
    } else if let Some(state) = &previous {
        let root = supervisor.cgroup_tree.root().cloned();
        let state = state.clone();
        let cleared =
            tokio::task::spawn_blocking(move || kill_and_count(root.as_ref(), &state)).await;
        counted = cleared.unwrap_or_default();
    }
    let at = Timestamp::from(SystemTime::now());
    supervisor.recorder.close_other_boots(supervisor.boot, at, supervisor.layout.clone()).await?;
    for attempt in supervisor.recorder.unclosed_attempts(id).await? {
        let lost = previous.as_ref().and_then(|state| state.invocation);
        let (cause, mut evidence) = if lost == Some(attempt.key.invocation) {
            lost_supervisor(counted.clone())
        } else if !Path::new("/run/systemd/system").exists() {
            // Without systemd only a supervisor can have started it, and that is gone.
            lost_supervisor(Evidence::default())
        } else {
            // It may be the attempt of a systemd unit.
            continue;
        };
        evidence.progress = read_progress(&supervisor.layout.progress(id));
        let closing = Closing {
            experiment: id.clone(),
            key: attempt.key,
            ready: attempt.ready,
            end: AttemptEnd { at, cause, evidence },
            started: attempt.started,
        };
        supervisor.recorder.close(closing).await?;
    }
    Ok(())
}

fn lost_supervisor(mut evidence: Evidence) -> (Cause, Evidence) {
    evidence.witness = Some(Witness::NextStart);
    evidence.notes.push("the supervisor died before the attempt ended".to_owned());
    (evidence.prove(), evidence)
}

/// Kills the processes of the last attempt in `state`, removes its cgroups, and keeps the counted
/// evidence in `state`. Returns whether there were any processes.
pub(crate) fn kill_orphans(root: Option<&CgroupRoot>, state: &mut SupervisedState) -> bool {
    let had_processes =
        state.invocation.is_some_and(|invocation| !processes_with_id(invocation).is_empty());
    let counted = kill_and_count(root, state);
    state.counted.get_or_insert_with(|| Box::new(counted));
    had_processes
}

/// Kills the processes of the last attempt in `state` and returns what its cgroup has counted.
fn kill_and_count(root: Option<&CgroupRoot>, state: &SupervisedState) -> Evidence {
    let mut evidence = Evidence::default();
    let cgroup = root.and_then(|root| find_cgroup(root, &state.cgroup_procs));
    if let Some(cgroup) = &cgroup {
        let reading = cgroup.read();
        evidence.oom_kills = reading.oom_kills;
        evidence.memory_limit_hits = reading.memory_limit_hits;
        evidence.memory_peak = reading.resources.memory_peak;
        evidence.memory_peak_source = evidence.memory_peak.map(|_| PeakSource::Kernel);
        evidence.memory_max = reading.resources.memory_max;
        evidence.cpu_usage_nsec = reading.resources.cpu_usage_nsec;
    }
    if evidence.oom_kills.is_some_and(|kills| kills > 0) {
        evidence.service_result = Some(ServiceResult::OomKill);
    }
    let mut waited = Duration::ZERO;
    while waited < KILL_TIMEOUT {
        let mut pids: BTreeSet<i32> = state.invocation.map(processes_with_id).unwrap_or_default();
        let inside = cgroup.as_ref().map(Cgroup::processes).unwrap_or_default();
        pids.extend(inside.into_iter().filter_map(|pid| i32::try_from(pid).ok()));
        if pids.is_empty() {
            break;
        }
        if waited.is_zero() {
            evidence.left_behind = LeftBehind::new(pids.iter().copied().filter_map(name_if_alive));
        }
        for pid in pids {
            // The process may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
        waited += Duration::from_millis(10);
    }
    for directory in cgroup_directories(&state.cgroup_procs) {
        // A cgroup that stays does no harm: the next attempt's has another name.
        let _ = fs::remove_dir(directory);
    }
    evidence
}

/// Returns the living processes with `INVOCATION_ID=` of the attempt in their environment.
fn processes_with_id(invocation: InvocationId) -> BTreeSet<i32> {
    let id = invocation.to_string();
    let has_id = |process: &procfs::process::Process| {
        process.environ().is_ok_and(|variables| {
            variables.get(OsStr::new("INVOCATION_ID")).is_some_and(|value| *value == *id)
        })
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    all_processes()
        .into_iter()
        .flatten()
        .flatten()
        .filter(|process| process.pid != own && has_id(process))
        .map(|process| process.pid)
        .collect()
}

fn cgroup_directories(procs_files: &[PathBuf]) -> impl Iterator<Item = &Path> {
    procs_files.iter().filter_map(|file| file.parent())
}

/// Finds the attempt's cgroup again, from the `cgroup.procs` files by which it was entered.
fn find_cgroup(root: &CgroupRoot, procs_files: &[PathBuf]) -> Option<Cgroup> {
    let memory = |directory: &&Path| {
        let file = match root.hierarchy() {
            Hierarchy::Unified => "memory.max",
            Hierarchy::Hybrid | Hierarchy::Legacy => "memory.limit_in_bytes",
        };
        directory.join(file).exists()
    };
    let directory = cgroup_directories(procs_files).find(memory)?;
    let below = directory.strip_prefix(root.path()).ok()?;
    let text = match root.hierarchy() {
        Hierarchy::Unified => format!("0::/{}\n", below.display()),
        Hierarchy::Hybrid | Hierarchy::Legacy => {
            let tree = below.components().next()?.as_os_str();
            let path = below.strip_prefix(tree).ok()?;
            format!("1:{}:/{}\n", Controller::Memory.as_str(), path.display())
        }
    };
    Some(root.for_membership(&Membership::parse(&text)))
}
