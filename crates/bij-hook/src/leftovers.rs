//! `bij-hook leftovers`: which processes the main process has left behind.
//!
//! systemd runs `ExecStop=` when the main process has left well, before it signals what is left in the
//! control group (systemd.service(5)). `ExecStopPost=` comes after that: nothing is left to be seen then.
//! After a failure systemd signals at once, and nothing can be seen.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bij_cgroup::{CgroupRoot, Membership};
use bij_core::{AttemptKey, ExperimentId, LeftBehind};
use bij_host::{HostContext, logged};

use crate::HookEnv;
use crate::attempt_record::AttemptRecord;

/// Notes in the attempt's record which processes are left, if the main process has ended; `wait` lets time
/// pass between two looks.
pub fn note_leftovers(
    host: &HostContext,
    told: &HookEnv,
    id: &ExperimentId,
    wait: impl FnMut(Duration),
) -> Option<LeftBehind> {
    // An order to stop, which the main process has yet to follow.
    told.exit?;
    let boot = logged(host.boot(), "the attempt cannot be named")?;
    let key = AttemptKey { boot, invocation: told.invocation? };
    let mut record = AttemptRecord::read(host.layout(), id).filter(|record| record.key == key)?;
    let left = LeftBehind::observe(|| names(host, id), wait)?;
    record.left_behind = Some(left.clone());
    logged(record.write(host.layout(), id), "it is not noted which processes were left behind");
    Some(left)
}

/// The names of the living processes of the own control group, this one left out.
fn names(host: &HostContext, id: &ExperimentId) -> Vec<String> {
    let proc = host.root().join("proc");
    let unit = id.unit_name();
    let root = logged(CgroupRoot::open(host.root().join("sys/fs/cgroup")), "no control groups");
    let own = logged(Membership::of_process(&proc, "self"), "the own control group is unknown");
    let Some((root, own)) = root.zip(own) else { return Vec::new() };
    let own = own.only(|path| path.to_string().split('/').any(|part| part == unit));
    let mut processes = root.for_membership(&own).processes();
    processes.sort_unstable();
    let others = processes.into_iter().filter(|pid| *pid != std::process::id());
    others.filter_map(|pid| living(&proc.join(pid.to_string()))).collect()
}

/// The name of a process that lives (`/proc/PID/stat`, `proc_pid_stat(5)`): it may hold anything, also
/// parentheses.
fn living(process: &Path) -> Option<String> {
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
    use crate::testing::Machine;

    const EXITED: Option<Exit> = Some(Exit::Code(0));

    fn processes(machine: &Machine, processes: &[(&str, &str)]) {
        let pids: Vec<&str> = processes.iter().map(|(pid, _)| *pid).collect();
        machine.counters("cgroup.procs", &pids.join("\n"));
        for (pid, stat) in processes {
            machine.write(&format!("proc/{pid}/stat"), &format!("{pid} {stat} 1 1 1\n"));
        }
    }

    fn told(machine: &Machine, life: &HookEnv, exit: Option<Exit>) -> Option<String> {
        let life = HookEnv { exit, ..life.clone() };
        Some(note_leftovers(&machine.host, &life, &machine.id, |_| ())?.to_string())
    }

    #[test]
    fn what_lives_in_the_control_group_after_the_main_process_was_left_behind() {
        let machine = Machine::new();
        let life = machine.life();
        machine.begin_and_read(&life);
        processes(&machine, &[("7", "(sh) S"), ("8", "(a) (b) R"), ("9", "(gone) Z")]);
        assert_eq!(told(&machine, &life, None), None, "the main process is asked to stop");
        let said = told(&machine, &life, EXITED).unwrap();
        assert_eq!(said, "2 processes were left behind and killed (sh, a) (b)");
        machine.end(&life, "success", EXITED);
        let end = machine.attempts()[0].end.clone().unwrap();
        assert_eq!(end.cause, bij_core::Cause::Success);
        assert_eq!(end.evidence.left_behind.unwrap().to_string(), said);
    }

    #[test]
    fn a_helper_that_ends_by_itself_was_not_left_behind() {
        let machine = Machine::new();
        let life = machine.life();
        machine.begin_and_read(&life);
        processes(&machine, &[("7", "(resource_tracke) S")]);
        let life = HookEnv { exit: EXITED, ..life };
        let leave = |_| processes(&machine, &[]);
        assert_eq!(note_leftovers(&machine.host, &life, &machine.id, leave), None);
        machine.end(&life, "success", EXITED);
        assert_eq!(machine.attempts()[0].end.clone().unwrap().evidence.left_behind, None);
    }

    #[test]
    fn another_life_has_left_nothing_behind() {
        let machine = Machine::new();
        machine.begin_and_read(&machine.life());
        processes(&machine, &[("7", "(sh) S")]);
        assert_eq!(told(&machine, &machine.life(), EXITED), None);
    }
}
