//! The experiment's control group, in which its hooks run: the kernel's counters, and the processes that are left.
//!
//! `bij-hook leftovers` records which processes the main process has left behind. systemd runs `ExecStop=` after the
//! main process has exited successfully and before it signals the remaining processes of the control group
//! (systemd.service(5)). They are gone when `ExecStopPost=` runs. After a failure systemd signals them at once, so they
//! cannot be recorded.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bij_cgroup::{CgroupReading, CgroupRoot, Membership};
use bij_core::{AttemptKey, ExperimentId, LeftBehind};
use bij_host::{HostContext, logged};

use crate::HookEnv;
use crate::attempt_record::AttemptRecord;

/// Reads the counters; `None`, with the reason in the log, if they cannot be found.
///
/// In a hierarchy where the unit has no group of its own (in a container, or for a controller that is not enabled),
/// the counters include other processes and prove nothing, so they are left out.
pub(crate) fn read_counters(host: &HostContext, id: &ExperimentId) -> Option<CgroupReading> {
    let root = CgroupRoot::open(host.root().join("sys/fs/cgroup"))
        .inspect_err(|error| log::warn!("cannot read the kernel's counters: {error}"))
        .ok()?;
    let own = Membership::of_process(&host.root().join("proc"), "self")
        .inspect_err(|error| log::warn!("cannot find the own control group: {error}"))
        .ok()?;
    let unit = id.unit_name();
    let own = own.only(|path| path.to_string().split('/').any(|part| part == unit));
    Some(root.for_membership(&own).read())
}

/// Writes into the attempt's record which processes are left, if the main process has exited, and returns them.
/// `wait` sleeps between two readings.
pub fn note_leftovers(
    host: &HostContext,
    env: &HookEnv,
    id: &ExperimentId,
    wait: impl FnMut(Duration),
) -> Option<LeftBehind> {
    // Without an exit the main process still runs: this is a requested stop.
    env.exit?;
    let boot = logged(host.boot(), "cannot identify the attempt")?;
    let key = AttemptKey { boot, invocation: env.invocation? };
    let mut record = AttemptRecord::read(host.layout(), id).filter(|record| record.key == key)?;
    let left = LeftBehind::observe(|| names(host, id), wait)?;
    record.left_behind = Some(left.clone());
    logged(record.write(host.layout(), id), "cannot record which processes were left behind");
    Some(left)
}

/// Returns the names of the running processes of the own control group, except this one.
fn names(host: &HostContext, id: &ExperimentId) -> Vec<String> {
    let proc = host.root().join("proc");
    let unit = id.unit_name();
    let root = logged(
        CgroupRoot::open(host.root().join("sys/fs/cgroup")),
        "cannot open the control groups",
    );
    let own = logged(Membership::of_process(&proc, "self"), "cannot find the own control group");
    let Some((root, own)) = root.zip(own) else { return Vec::new() };
    let own = own.only(|path| path.to_string().split('/').any(|part| part == unit));
    let mut processes = root.for_membership(&own).processes();
    processes.sort_unstable();
    let others = processes.into_iter().filter(|pid| *pid != std::process::id());
    others.filter_map(|pid| running_name(&proc.join(pid.to_string()))).collect()
}

/// Returns the name of a process that is no zombie (`/proc/PID/stat`, `proc_pid_stat(5)`). The name may contain
/// parentheses.
fn running_name(process: &Path) -> Option<String> {
    let text = fs::read(process.join("stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (before, after) = text.rsplit_once(") ")?;
    let (_, name) = before.split_once(" (")?;
    (!after.starts_with(['Z', 'X', 'x'])).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use bij_core::Exit;

    use super::*;
    use crate::testing::TestMachine;

    #[test]
    fn counters_of_a_shared_group_are_left_out() {
        let machine = TestMachine::new();
        machine.counters("memory.events", "max 1\noom_kill 7\n");
        let read = || read_counters(&machine.host, &machine.id).unwrap();
        assert_eq!(read().oom_kills, Some(7));
        machine.write("proc/self/cgroup", "0::/brain.slice\n");
        machine.write("sys/fs/cgroup/brain.slice/memory.events", "max 1\noom_kill 7\n");
        assert_eq!(read().oom_kills, None);
    }

    const EXITED: Option<Exit> = Some(Exit::Code(0));

    fn processes(machine: &TestMachine, processes: &[(&str, &str)]) {
        let pids: Vec<&str> = processes.iter().map(|(pid, _)| *pid).collect();
        machine.counters("cgroup.procs", &pids.join("\n"));
        for (pid, stat) in processes {
            machine.write(&format!("proc/{pid}/stat"), &format!("{pid} {stat} 1 1 1\n"));
        }
    }

    fn observed(machine: &TestMachine, env: &HookEnv, exit: Option<Exit>) -> Option<String> {
        let env = HookEnv { exit, ..env.clone() };
        Some(note_leftovers(&machine.host, &env, &machine.id, |_| ())?.to_string())
    }

    #[test]
    fn processes_that_outlive_the_main_process_are_recorded() {
        let machine = TestMachine::new();
        let env = machine.new_invocation();
        machine.begin_and_read(&env);
        processes(&machine, &[("7", "(sh) S"), ("8", "(a) (b) R"), ("9", "(gone) Z")]);
        assert_eq!(observed(&machine, &env, None), None, "the main process is asked to stop");
        let text = observed(&machine, &env, EXITED).unwrap();
        assert_eq!(text, "2 processes were left behind and killed (sh, a) (b)");
        machine.end(&env, "success", EXITED);
        let end = machine.attempts()[0].end.clone().unwrap();
        assert_eq!(end.cause, bij_core::Cause::Success);
        assert_eq!(end.evidence.left_behind.unwrap().to_string(), text);
    }

    #[test]
    fn a_child_that_exits_by_itself_is_not_recorded() {
        let machine = TestMachine::new();
        let env = machine.new_invocation();
        machine.begin_and_read(&env);
        processes(&machine, &[("7", "(resource_tracke) S")]);
        let env = HookEnv { exit: EXITED, ..env };
        let leave = |_| processes(&machine, &[]);
        assert_eq!(note_leftovers(&machine.host, &env, &machine.id, leave), None);
        machine.end(&env, "success", EXITED);
        assert_eq!(machine.attempts()[0].end.clone().unwrap().evidence.left_behind, None);
    }

    #[test]
    fn an_attempt_of_another_invocation_is_not_touched() {
        let machine = TestMachine::new();
        machine.begin_and_read(&machine.new_invocation());
        processes(&machine, &[("7", "(sh) S")]);
        assert_eq!(observed(&machine, &machine.new_invocation(), EXITED), None);
    }
}
