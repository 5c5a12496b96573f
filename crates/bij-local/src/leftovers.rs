//! What a supervisor that is gone has left behind: processes, cgroups, open attempts.
//!
//! Called by whoever holds the experiment's seat, so no supervisor lives that could still care.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bij_cgroup::{Cgroup, CgroupRoot, Controller, Hierarchy, Membership};
use bij_core::port::{Closing, Ledger, LedgerError};
use bij_core::{
    AttemptEnd, Cause, Evidence, InvocationId, LeftBehind, PeakSource, ServiceResult, Timestamp,
    Witness,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::all_processes;

use crate::group::living_name;
use crate::progress_file::read_progress;
use crate::status::State;
use crate::supervisor::Shared;

/// How long killed processes get to disappear before their cgroup is removed.
const GONE_WITHIN: Duration = Duration::from_millis(500);

/// Kills what the last supervisor of an experiment left running and closes what it left open.
pub(crate) async fn close<L: Ledger + Send + 'static>(
    shared: &Shared<L>,
    left: Option<State>,
    id: &bij_core::ExperimentId,
) -> Result<(), LedgerError> {
    let left = left.filter(|state| state.boot == shared.boot && !state.is_down());
    let mut counted = Evidence::default();
    if let Some(before) = left.as_ref().and_then(|state| state.counted.as_deref()) {
        counted = before.clone();
    } else if let Some(state) = &left {
        let root = shared.place.root().cloned();
        let state = state.clone();
        let cleared = tokio::task::spawn_blocking(move || clear(root.as_ref(), &state)).await;
        counted = cleared.unwrap_or_default();
    }
    let at = Timestamp::from(SystemTime::now());
    shared.recorder.close_other_boots(shared.boot, at, shared.layout.clone()).await?;
    for attempt in shared.recorder.left_open(id).await? {
        let ours = left.as_ref().and_then(|state| state.invocation);
        let (cause, mut evidence) = if ours == Some(attempt.key.invocation) {
            lost_supervisor(counted.clone())
        } else if !Path::new("/run/systemd/system").exists() {
            // Nobody else could have started it, and its supervisor is gone without a trace.
            lost_supervisor(Evidence::default())
        } else {
            // It may be a unit that lives under systemd.
            continue;
        };
        evidence.progress = read_progress(&shared.layout.progress(id));
        let closing = Closing {
            experiment: id.clone(),
            key: attempt.key,
            ready: attempt.ready,
            end: AttemptEnd { at, cause, evidence },
            started: attempt.started,
        };
        shared.recorder.close(closing).await?;
    }
    Ok(())
}

fn lost_supervisor(mut evidence: Evidence) -> (Cause, Evidence) {
    evidence.witness = Some(Witness::NextStart);
    evidence.notes.push("its supervisor died before it did".to_owned());
    (evidence.prove(), evidence)
}

/// Kills every process that a state names, takes their cgroups away, and notes in the state what was
/// counted; whether there were any.
pub(crate) fn clear_standing(cgroups: &Path, state: &mut State) -> bool {
    let root = CgroupRoot::open(cgroups).ok();
    let standing = state.invocation.is_some_and(|invocation| !marked(invocation).is_empty());
    let counted = clear(root.as_ref(), state);
    state.counted.get_or_insert_with(|| Box::new(counted));
    standing
}

/// Kills every process that the state names, and returns what their cgroup has counted.
fn clear(root: Option<&CgroupRoot>, state: &State) -> Evidence {
    let mut evidence = Evidence::default();
    let group = root.and_then(|root| group_of(root, &state.cgroup_procs));
    if let Some(group) = &group {
        let reading = group.read();
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
    while waited < GONE_WITHIN {
        let mut pids: BTreeSet<i32> = state.invocation.map(marked).unwrap_or_default();
        let inside = group.as_ref().map(Cgroup::processes).unwrap_or_default();
        pids.extend(inside.into_iter().filter_map(|pid| i32::try_from(pid).ok()));
        if pids.is_empty() {
            break;
        }
        if waited.is_zero() {
            evidence.left_behind = LeftBehind::new(pids.iter().copied().filter_map(living_name));
        }
        for pid in pids {
            // One that has gone by itself is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
        waited += Duration::from_millis(10);
    }
    for directory in directories(&state.cgroup_procs) {
        // One that stays does no harm: the next attempt's has another name.
        let _ = fs::remove_dir(directory);
    }
    evidence
}

/// Living processes whose environment names the attempt.
fn marked(invocation: InvocationId) -> BTreeSet<i32> {
    let mark = invocation.to_string();
    let is_marked = |process: &procfs::process::Process| {
        process.environ().is_ok_and(|variables| {
            variables.get(OsStr::new("INVOCATION_ID")).is_some_and(|id| *id == *mark)
        })
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    all_processes()
        .into_iter()
        .flatten()
        .flatten()
        .filter(|process| process.pid != own && is_marked(process))
        .map(|process| process.pid)
        .collect()
}

fn directories(procs_files: &[PathBuf]) -> impl Iterator<Item = &Path> {
    procs_files.iter().filter_map(|file| file.parent())
}

/// The attempt's cgroup, found again by the files through which it was entered.
fn group_of(root: &CgroupRoot, procs_files: &[PathBuf]) -> Option<Cgroup> {
    let memory = |directory: &&Path| {
        let file = match root.hierarchy() {
            Hierarchy::Unified => "memory.max",
            Hierarchy::Hybrid | Hierarchy::Legacy => "memory.limit_in_bytes",
        };
        directory.join(file).exists()
    };
    let directory = directories(procs_files).find(memory)?;
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
