//! Whatever goes wrong with a definition, or while one is rendered: what runs keeps its limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::Scenario;
use crate::bij::{
    SOON, define_script, history, override_unit, render_all, systemctl, unit, wait_for_line,
    wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{queue, set_coordinator};
use crate::steps::{define, property};

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: Duration::from_secs(180),
        ..Scenario::new("attack_limits_outlive_definitions", Lane::ALL, outlive_definitions)
    },
    Scenario::new("attack_edit_holds_from_the_next_start", Lane::CONTAINER, edit_holds_later),
    Scenario::new("attack_limits_outlive_operators", Lane::CONTAINER, outlive_operators),
    Scenario::new("attack_limits_outlive_a_full_run", Lane::ALL, outlive_a_full_run),
    Scenario::new("attack_start_on_a_full_disk", Lane::CONTAINER, start_on_a_full_disk),
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("attack_start_on_a_full_run_is_queued", Lane::CONTAINER, full_run_is_queued)
    },
];

/// Where definitions written by hand lie.
const DEFINITIONS: &str = "/etc/brain-in-jar/experiments";

/// Limits that neither the template nor systemd has by default.
const LIMITS: &str = "[limits]\nmemory = \"60M\"\ntasks = 77\ntime = \"3h\"\n\
                      [restart]\ndelay = \"7s\"\n[stop]\nsignal = \"SIGINT\"\n";

/// What [`LIMITS`] come to in systemd's words.
const SETTINGS: &[(&str, &str)] = &[
    ("MemoryMax", "62914560"),
    ("TasksMax", "77"),
    ("RuntimeMaxUSec", "3h"),
    ("RestartUSec", "7s"),
    ("KillSignal", "2"),
];

/// A definition with limits whose command only waits.
pub(super) fn define_sleeper(id: &str) -> Result<(), Failure> {
    define_script(id, "echo it lives; exec sleep 86400", LIMITS)
}

/// Checks that a unit runs in the invocation that it did, and is held to [`LIMITS`] by PID 1, and by the
/// kernel where this machine has a hierarchy of its own.
pub(super) fn ensure_limited(
    guest: &Guest,
    id: &str,
    invocation: &str,
    after: &str,
) -> Result<(), Failure> {
    let unit = unit(id);
    ensure_eq!(
        property(&unit, "InvocationID")?,
        invocation,
        "the invocation of {id} after {after}"
    );
    ensure_eq!(property(&unit, "ActiveState")?, "active", "{id} after {after}");
    for (name, value) in SETTINGS {
        ensure_eq!(property(&unit, name)?, *value, "{name} of {id} after {after}");
    }
    ensure_eq!(property(&unit, "User")?, format!("bij-{id}"), "the user of {id} after {after}");
    if guest.lane() != Lane::Machine {
        let memory = guest.kernel_memory_limit(&unit)?;
        ensure_eq!(memory, "62914560", "the kernel's memory limit of {id} after {after}");
        let group = property(&unit, "ControlGroup")?;
        let hierarchy = if guest.lane() == Lane::VmV1 { "/pids" } else { "" };
        let path = format!("/sys/fs/cgroup{hierarchy}{group}/pids.max");
        let tasks =
            fs::read_to_string(&path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
        ensure_eq!(tasks.trim(), "77", "the kernel's limit of tasks of {id} after {after}");
    }
    Ok(())
}

/// Starts an experiment and returns its invocation.
pub(super) fn start(id: &str) -> Result<String, Failure> {
    systemctl("start", id)?.success()?;
    property(&unit(id), "InvocationID")
}

/// As cron jobs, package managers and operators do.
fn daemon_reload() -> Result<(), Failure> {
    run("systemctl", ["daemon-reload"])?.success().map(drop)
}

fn definition(id: &str) -> PathBuf {
    Path::new(DEFINITIONS).join(format!("{id}.toml"))
}

/// A definition is broken, emptied, replaced by a directory, renamed and deleted, its neighbours are
/// monsters, and the service manager reloads each time. The next start is refused and runs no command of
/// yesterday.
fn outlive_definitions(guest: &Guest) -> Result<Next, Failure> {
    let (id, path) = ("limits_kept", definition("limits_kept"));
    define_sleeper(id)?;
    let invocation = start(id)?;
    ensure_limited(guest, id, &invocation, "its start")?;
    ensure_eq!(property(&unit(id), "NeedDaemonReload")?, "no", "NeedDaemonReload after a start");
    let folder = DEFINITIONS;
    for (what, script) in [
        ("a reload", "true".to_owned()),
        ("a typing error", format!("echo 'comand = [1' >{}", path.display())),
        ("an emptied definition", format!(": >{}", path.display())),
        ("an unknown key", format!("echo 'limits.memroy = \"1G\"' >>{}", path.display())),
        ("a broken env", format!("printf 'EXPERIMENT_RAM_LIMIT=many\\n' >{folder}/{id}.env")),
        (
            "broken neighbours",
            format!(
                "echo 'command = 7' >{folder}/limits_broken.toml; mkfifo {folder}/limits_fifo.toml
                 head -c 20M /dev/zero >{folder}/limits_big.toml; mkdir {folder}/limits_dir.toml"
            ),
        ),
        ("a directory in its place", format!("rm {0}; mkdir {0}", path.display())),
        ("a deleted definition", format!("rmdir {}; rm {folder}/{id}.env", path.display())),
        (
            "a renamed definition",
            format!("echo 'command = [\"/bin/true\"]' >{folder}/limits_renamed.toml"),
        ),
        ("no definitions at all", format!("mv {folder} {folder}.away")),
        ("a boot service that starts anew", "systemctl restart brain-experiment-boot".to_owned()),
    ] {
        sh(&script)?.success()?;
        daemon_reload()?;
        ensure_limited(guest, id, &invocation, what)?;
    }
    sh(&format!("rm -rf {folder}; mv {folder}.away {folder}; rm -r {folder}/limits_*"))?
        .success()?;
    // What is left in force is no permission to run it again.
    systemctl("stop", id)?.success()?;
    let refused = systemctl("start", id)?;
    ensure!(!refused.succeeded(), "{id} was started without a definition");
    wait_for_line(guest, id, &format!("there is no experiment {id}"))?;
    ensure_eq!(property(&unit(id), "ExecMainStatus")?, "78", "how the refused start ended");
    ensure_eq!(
        property(&unit(id), "MemoryMax")?,
        "infinity",
        "MemoryMax of what is only a template"
    );
    ensure_eq!(history(id)?.len(), 1, "attempts of {id}");
    Ok(Next::Done)
}

/// An edited definition changes nothing about the unit that is up, whatever reloads; its next start has
/// the new settings, and an automatic restart is a start.
fn edit_holds_later(guest: &Guest) -> Result<Next, Failure> {
    let id = "limits_edited";
    define_sleeper(id)?;
    let invocation = start(id)?;
    let edited =
        LIMITS.replace("60M", "30M").replace("77", "44").replace("delay = \"7s\"", "delay = \"0\"");
    define_script(id, "echo it lives; exec sleep 600", &edited)?;
    daemon_reload()?;
    ensure_limited(guest, id, &invocation, "an edit and a reload")?;
    // Another unit's start reloads as well.
    define_sleeper("limits_neighbour")?;
    start("limits_neighbour")?;
    ensure_limited(guest, id, &invocation, "a neighbour's first start")?;
    systemctl("restart", id)?.success()?;
    ensure_eq!(property(&unit(id), "MemoryMax")?, "31457280", "MemoryMax after a restart");
    ensure_eq!(property(&unit(id), "NeedDaemonReload")?, "no", "NeedDaemonReload after a restart");
    define_script(id, "exec sleep 600", &edited.replace("30M", "20M"))?;
    sh(&format!("systemctl kill --signal=KILL {}", unit(id)))?.success()?;
    guest.wait_for("the restart with the new limit", SOON, || {
        let limit = property(&unit(id), "MemoryMax")?;
        let state = property(&unit(id), "ActiveState")?;
        Ok((limit == "20971520" && state == "active").then_some(()))
    })?;
    Ok(Next::Done)
}

/// What operators do with their own settings takes no limit of the definition away, and theirs stay
/// stronger.
fn outlive_operators(guest: &Guest) -> Result<Next, Failure> {
    let id = "limits_operated";
    define_sleeper(id)?;
    let invocation = start(id)?;
    let unit = unit(id);
    run("systemctl", ["set-property", "--runtime", &unit, "MemoryMax=50M"])?.success()?;
    override_unit(id, "[Service]\nTasksMax=33\n")?;
    ensure_eq!(property(&unit, "MemoryMax")?, "52428800", "MemoryMax by set-property");
    ensure_eq!(property(&unit, "TasksMax")?, "33", "TasksMax by an override");
    run("systemctl", ["revert", &unit])?.success()?;
    ensure_limited(guest, id, &invocation, "systemctl revert")?;
    sh("systemctl daemon-reexec")?.success()?;
    ensure_limited(guest, id, &invocation, "systemctl daemon-reexec")?;
    for text in ["", "[Service]\n", "garbage\n\0\n"] {
        override_unit(id, text)?;
        ensure_limited(guest, id, &invocation, "an override that says nothing")?;
    }
    Ok(Next::Done)
}

/// Fills /run to the last byte, and frees it in any case.
pub(super) fn on_a_full_run<T>(what: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    sh("mount -o remount,size=48m /run
        head -c 100M /dev/zero >/run/ballast || true
        dd if=/dev/zero of=/run/ballast.rest bs=1 count=8192 2>/dev/null || true")?
    .success()?;
    let result = what();
    sh("rm /run/ballast /run/ballast.rest; mount -o remount,size=20% /run")?.success()?;
    result
}

/// With /run full everything that runs keeps its limits, a start of an edited definition fails with the
/// reason, and no start is passed over in silence.
fn outlive_a_full_run(guest: &Guest) -> Result<Next, Failure> {
    let (id, edited) = ("limits_full", "limits_full_edited");
    define_sleeper(id)?;
    // A user that is there needs no room in /run, so that the hook is reached.
    let define_edited = |limits: &str| {
        define_script(edited, "exec sleep 600", &format!("user = \"nobody\"\n{limits}"))
    };
    define_edited(LIMITS)?;
    let invocation = start(id)?;
    start(edited)?;
    systemctl("stop", edited)?.success()?;
    define_edited(&LIMITS.replace("77", "78"))?;
    on_a_full_run(|| {
        fs::write(definition(id), "broken = [")?;
        // PID 1 itself refuses to reload without room.
        run("systemctl", ["daemon-reload"])?;
        ensure_limited(guest, id, &invocation, "a reload on a full /run")?;
        let started = systemctl("start", edited)?;
        ensure!(!started.succeeded(), "{edited} was started, or passed over in silence");
        run("bij", ["start", edited])?.says("No space left on device")?;
        ensure_eq!(history(edited)?.len(), 1, "attempts of {edited}");
        Ok(())
    })?;
    wait_for_line(guest, edited, "df -h /run")?;
    daemon_reload()?;
    ensure_limited(guest, id, &invocation, "a reload with room again")?;
    systemctl("start", edited)?.success()?;
    ensure_eq!(property(&unit(edited), "TasksMax")?, "78", "TasksMax of the edited definition");
    Ok(Next::Done)
}

/// On a full /run systemd cannot even prepare a hook and skips the start without a word. The coordinator
/// puts it into the queue, says why, and starts it when there is room; a run that crashes meanwhile goes on
/// afterwards, and `bij start` tells the reason.
fn full_run_is_queued(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=8\n")?;
    let id = "limits_room";
    define_sleeper(id)?;
    render_all()?;
    on_a_full_run(|| {
        run("systemctl", ["start", &unit(id)])?;
        guest.wait_for("the start in the queue", SOON, || {
            let queued = queue()?.into_iter().any(|row| row["experiment"] == id);
            Ok(queued.then_some(()))
        })?;
        let journal = ["-b", "-o", "cat", "--no-pager", "-u", "brain-experiment-coordinator"];
        guest.wait_for("the reason in the journal", SOON, || {
            let output = run("journalctl", journal)?;
            let reason = "could not prepare its start: is /run or a disk full";
            Ok(output.stdout().contains(reason).then_some(()))
        })?;
        // It tells the last failure, as soon as there has been one.
        guest.wait_for("the remedy", SOON, || {
            let start = run("bij", ["start", id])?;
            Ok(start.says("df -h /run").is_ok().then_some(()))
        })
    })?;
    guest
        .wait_for("the start that was skipped", Duration::from_secs(60), || {
            Ok((property(&unit(id), "ActiveState")? == "active").then_some(()))
        })
        .map(|()| Next::Done)
}

/// On a full disk a start goes on and is recorded later, or fails with the reason.
fn start_on_a_full_disk(guest: &Guest) -> Result<Next, Failure> {
    let id = "limits_disk";
    define_sleeper(id)?;
    start(id)?;
    systemctl("stop", id)?.success()?;
    sh("systemctl stop brain-experiment-coordinator
        mount -t tmpfs -o size=4m,mode=0755 none /var/lib/brain-in-jar")?
    .success()?;
    let result = start_without_room(guest, id);
    sh("systemctl stop 'brain-experiment@*.service'
        umount -l /var/lib/brain-in-jar
        systemctl start brain-experiment-coordinator")?
    .success()?;
    result
}

fn start_without_room(guest: &Guest, id: &str) -> Result<Next, Failure> {
    sh("mkdir -p /var/lib/brain-in-jar/experiments
        head -c 8M /dev/zero >/var/lib/brain-in-jar/ballast || true
        dd if=/dev/zero of=/var/lib/brain-in-jar/rest bs=1 count=8192 2>/dev/null || true")?
    .success()?;
    let started = systemctl("start", id)?;
    if started.succeeded() {
        wait_for_state(guest, id, "active")?;
        sh("rm /var/lib/brain-in-jar/ballast /var/lib/brain-in-jar/rest")?.success()?;
        systemctl("stop", id)?.success()?;
        let rows = history(id)?;
        ensure_eq!(rows.len(), 1, "attempts recorded after all: {rows:?}");
    } else {
        let lines = run("journalctl", ["-b", "-o", "cat", "--no-pager", "-u", &unit(id)])?;
        lines.says("No space left on device")?;
    }
    define(id, "command = [\"/bin/true\"]\n")?;
    Ok(Next::Done)
}
