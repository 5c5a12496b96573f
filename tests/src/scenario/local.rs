//! `bij --local run`: the kernel holds experiments to their limits where a control group can be had,
//! and the caller's own group stays as it was.
//!
//! Each scenario runs bij by a script that shares its control group with another process, as a shell
//! does. The script compares the group's type, its `cgroup.subtree_control` and the groups below it
//! before and after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::Scenario;
use crate::bij::causes;
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{Output, run_for, sh};
use crate::guest::{Guest, Next};
use crate::protocol::{Lane, UNIT_TESTS_PATH};
use crate::steps::write;

pub(super) const SCENARIOS: &[Scenario] = &[
    patient("local_demo_of_root_has_the_kernels_limits", Lane::VM, demo_of_root),
    patient("local_demo_of_a_user_ends_well", Lane::VM, demo_of_a_user),
    patient("local_demo_in_a_container_without_systemd", Lane::VM, demo_in_a_container),
    patient("local_demo_under_a_read_only_tree", Lane::VM, demo_under_a_read_only_tree),
    patient("local_groups_of_a_container_are_used", &[Lane::VmV2], groups_of_a_container),
    patient("local_killed_supervisor_changes_no_group", Lane::VM, killed_supervisor),
    Scenario {
        on_request: true,
        ..patient("local_unit_tests_of_root_hold", Lane::VM, unit_tests_of_root)
    },
    Scenario {
        on_request: true,
        ..patient("local_unit_tests_of_a_user_hold", Lane::VM, unit_tests_of_a_user)
    },
];

/// The demo takes half a minute by itself.
const PATIENCE: Duration = Duration::from_secs(90);

const fn patient(
    name: &'static str,
    lanes: &'static [Lane],
    run: fn(&Guest) -> Result<Next, Failure>,
) -> Scenario {
    Scenario { time_limit: Duration::from_secs(200), ..Scenario::new(name, lanes, run) }
}

/// The experiments of `cargo xtask demo`.
const DEMO: [&str; 3] = ["amnesiac_001", "unstable_002", "panopticon_003"];

/// One that shows the limit in the kernel's own file, and then eats memory until it is killed.
const EATER: &str = r#"command = ["/bin/sh", "-c", '''
own() { sed -n "s/^[0-9]*:$1://p" /proc/self/cgroup; }
cat /sys/fs/cgroup$(own "")/memory.max || cat /sys/fs/cgroup/memory$(own memory)/memory.limit_in_bytes
exec tail /dev/zero
''']
[limits]
memory = "32M"
swap = "0"
[restart]
burst = 1
"#;

/// Where the scripts lie, readable for everybody.
const SCRIPTS: &str = "/tmp/bij-local";

/// Runs experiments below a root among other processes of one group: `among ROOT ID…`. Ends with 99 if
/// the group is not as before.
const AMONG: &str = r#"#!/bin/sh
set -u
root=$1; shift
tree=/sys/fs/cgroup
[ -e $tree/cgroup.controllers ] || tree=$tree/unified
own=$tree$(sed -n 's/^0:://p' /proc/self/cgroup)
[ $tree != /sys/fs/cgroup ] || [ -e "$own/cgroup.type" ] || exit 98
state() {
    cat "$own/cgroup.type" "$own/cgroup.subtree_control" 2>/dev/null
    # The root of a version 1 machine is all services' and changes by itself.
    [ ! -e "$own/cgroup.type" ] || find "$own" -mindepth 1 -type d
    find /sys/fs/cgroup -name 'bij-*'
}
sleep 1000 & neighbour=$!
before=$(state)
bij --root "$root" run "$@"; code=$?
for id in "$@"; do bij --root "$root" --json history "$id" >"$root/$id.json"; done
kill $neighbour
after=$(state)
# systemd takes a moment to remove the scope that bij was in.
for _ in $(seq 50); do [ "$before" != "$after" ] || break; sleep 0.2; after=$(state); done
if [ "$before" != "$after" ]; then
    printf 'the group was\n%s\nand is\n%s\n' "$before" "$after" >&2
    exit 99
fi
exit $code
"#;

/// Starts an experiment that sleeps, kills bij with SIGKILL, and waits until its main process is gone.
const KILLED: &str = r#"#!/bin/sh
set -eu
tree=/sys/fs/cgroup
[ -e $tree/cgroup.controllers ] || tree=$tree/unified
own=$tree$(sed -n 's/^0:://p' /proc/self/cgroup)
[ $tree != /sys/fs/cgroup ] || [ -e "$own/cgroup.type" ] || exit 98
state() {
    cat "$own/cgroup.type" "$own/cgroup.subtree_control" 2>/dev/null || true
    [ ! -e "$own/cgroup.type" ] || find "$own" -mindepth 1 -type d
}
before=$(state)
bij --root "$1" run sleeper >"$1/out" 2>&1 & bij=$!
until grep -q asleep "$1/out"; do sleep 0.2; done
pgrep -f 'sleep 7654' >/dev/null
kill -KILL $bij
wait $bij || true
while pgrep -f 'sleep 7654' >/dev/null; do sleep 0.2; done
after=$(state)
[ "$before" = "$after" ] || { printf 'was\n%s\nis\n%s\n' "$before" "$after" >&2; exit 99; }
if [ -e "$own/cgroup.type" ] && [ "$(id -u)" = 0 ]; then echo 0 >"$own/cgroup.procs"; fi
"#;

/// Becomes a container: first process of its PID namespace, root of its cgroup namespace, in a group
/// that was delegated to it, without systemd in sight. `container SCRIPT ARGUMENT…` runs in it.
const CONTAINER: &str = r#"#!/bin/sh
set -eu
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    scope=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
    mkdir "$scope/manager" "$scope/container"
    for pid in $(cat "$scope/cgroup.procs"); do
        echo $pid >"$scope/manager/cgroup.procs" 2>/dev/null || [ ! -e /proc/$pid ]
    done
    for controller in memory cpu pids; do echo +$controller >"$scope/cgroup.subtree_control"; done
    export group="$scope/container"
    # One on top of the other is refused: it is the same file system.
    mount='umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup'
else
    export group=
    mount=
fi
exec unshare --pid --fork --kill-child sh -euc '
    [ -z "$group" ] || echo 0 >"$group/cgroup.procs"
    exec unshare --mount --cgroup sh -euc "
        mount -t proc proc /proc
        '"$mount"'
        mount -t tmpfs none /run
        exec \"\$@\"" container "$@"' container "$@"
"#;

/// What a container's entry point does that wants groups: a leaf for all that runs, and controllers
/// handed down beside it. Then goes on.
const PREPARED: &str = r#"#!/bin/sh
set -eu
mkdir /sys/fs/cgroup/init
for pid in $(cat /sys/fs/cgroup/cgroup.procs); do
    echo $pid >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || [ ! -e /proc/$pid ]
done
for controller in memory cpu pids; do echo +$controller >/sys/fs/cgroup/cgroup.subtree_control; done
"$@"
"#;

/// Makes every mount of the control groups read-only for itself, and goes on.
const READ_ONLY: &str = r#"#!/bin/sh
set -eu
for mount in $(awk '$2 ~ "^/sys/fs/cgroup" { print $2 }' /proc/mounts); do
    mount -o remount,bind,ro "$mount"
done
exec "$@"
"#;

/// What holds experiments to their memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// The kernel.
    ByKernel,
    /// The supervisor, for a reason that contains this.
    ByWatching(&'static str),
}

/// Writes the scripts, creates the user, and makes a root that belongs to `owner`.
fn root_of(owner: &str, name: &str) -> Result<PathBuf, Failure> {
    for (script, text) in [
        ("among", AMONG),
        ("killed", KILLED),
        ("container", CONTAINER),
        ("prepared", PREPARED),
        ("read-only", READ_ONLY),
    ] {
        write(&Path::new(SCRIPTS).join(script), text)?;
    }
    let root = Path::new("/var/tmp").join(name);
    let definitions = root.join("etc/brain-in-jar/experiments");
    write(&definitions.join("eater.toml"), EATER)?;
    write(
        &definitions.join("sleeper.toml"),
        "command = [\"/bin/sh\", \"-c\", \"echo asleep; exec sleep 7654\"]\n\
         [limits]\nmemory = \"64M\"\ntasks = 16\n",
    )?;
    let (definitions, root_path) = (definitions.display(), root.display());
    sh(&format!(
        "chmod -R a+rX {SCRIPTS}; chmod a+x {SCRIPTS}/*
         id tenant >/dev/null 2>&1 || useradd --create-home --shell /bin/sh tenant
         cp /usr/share/brain-in-jar/examples/*.toml {definitions}
         chown -R {owner}: {root_path}"
    ))?
    .success()?;
    Ok(root)
}

/// Runs one of the scripts from a shell of root's, in a scope with other processes.
fn as_root(guest: &Guest, delegated: bool, command: &str) -> Result<Output, Failure> {
    let delegate = if delegated { "--property=Delegate=yes" } else { "--property=Delegate=no" };
    let script = format!("cd {SCRIPTS}; PATH=$PATH:{SCRIPTS}; export PATH; {command}");
    let args = ["--scope", "--quiet", delegate, "sh", "-c", &script];
    run_for(guest.patience(PATIENCE), "systemd-run", args)
}

/// Runs one of the scripts in a session of an ordinary user's.
fn as_tenant(guest: &Guest, command: &str) -> Result<Output, Failure> {
    let script = format!("cd {SCRIPTS}; PATH=$PATH:{SCRIPTS}; export PATH; {command}");
    run_for(guest.patience(PATIENCE), "runuser", ["-l", "tenant", "-c", &script])
}

/// Checks an experiment's attempts, the first of which must have been killed for memory.
fn ensure_held(root: &Path, id: &str, held: Held) -> Result<Vec<Value>, Failure> {
    let rows: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(root.join(format!("{id}.json")))?)?;
    ensure!(causes(&rows).contains(&"oom-kill"), "{id} ended of {:?}", causes(&rows));
    for row in rows.iter().filter(|row| row["cause"] == "oom-kill") {
        let notes = row["evidence"]["notes"].to_string();
        match held {
            Held::ByKernel => ensure!(!notes.contains("watcher"), "{id} was watched: {row}"),
            Held::ByWatching(reason) => ensure!(
                notes.contains("the kernel holds no limits here") && notes.contains(reason),
                "{id} was not watched because of {reason:?}: {row}"
            ),
        }
    }
    Ok(rows)
}

/// The demo must have ended well, after a death for memory.
fn ensure_demo(root: &Path, output: Output, held: Held) -> Result<(), Failure> {
    output.success()?;
    let rows = ensure_held(root, "amnesiac_001", held)?;
    ensure_eq!(causes(&rows).last(), Some(&"success"), "the last end of amnesiac_001");
    Ok(())
}

/// The eater must have been killed at its limit, and have seen it in the kernel's file if that holds.
fn ensure_eater(root: &Path, output: Output, held: Held) -> Result<(), Failure> {
    let output = output.code(137)?;
    ensure_held(root, "eater", held)?;
    if held == Held::ByKernel {
        output.says("33554432")?;
    }
    Ok(())
}

fn demo_line(root: &Path) -> String {
    format!("among {} {}", root.display(), DEMO.join(" "))
}

fn demo_of_root(guest: &Guest) -> Result<Next, Failure> {
    let root = root_of("root", "demo-of-root")?;
    let output = as_root(guest, false, &demo_line(&root))?;
    ensure_demo(&root, output, Held::ByKernel)?;
    Ok(Next::Done)
}

fn demo_of_a_user(guest: &Guest) -> Result<Next, Failure> {
    let held = match guest.lane() {
        Lane::VmV1 => Held::ByWatching("root only"),
        Lane::Machine | Lane::VmV2 => Held::ByKernel,
    };
    let root = root_of("tenant", "demo-of-tenant")?;
    ensure_demo(&root, as_tenant(guest, &demo_line(&root))?, held)?;
    // Without a manager of the user's own there is no one to ask.
    let root = root_of("tenant", "eater-of-tenant")?;
    let eater = format!("among {} eater", root.display());
    let script = format!("PATH=$PATH:{SCRIPTS}; export PATH XDG_RUNTIME_DIR=/nowhere; {eater}");
    let output = run_for(
        guest.patience(PATIENCE),
        "systemd-run",
        ["--scope", "--quiet", "runuser", "-u", "tenant", "--", "sh", "-c", &script],
    )?;
    let held = match guest.lane() {
        Lane::VmV1 => held,
        Lane::Machine | Lane::VmV2 => Held::ByWatching("systemd gives no scope"),
    };
    ensure_eater(&root, output, held)?;
    Ok(Next::Done)
}

fn demo_in_a_container(guest: &Guest) -> Result<Next, Failure> {
    let held = match guest.lane() {
        Lane::VmV1 => Held::ByKernel,
        Lane::Machine | Lane::VmV2 => Held::ByWatching("holds other processes too"),
    };
    let root = root_of("root", "demo-in-container")?;
    let output = as_root(guest, true, &format!("container {}", demo_line(&root)))?;
    ensure_demo(&root, output, held)?;
    Ok(Next::Done)
}

fn demo_under_a_read_only_tree(guest: &Guest) -> Result<Next, Failure> {
    let held = Held::ByWatching("mounted read-only");
    let root = root_of("root", "demo-read-only")?;
    let demo = format!("unshare --mount read-only {}", demo_line(&root));
    ensure_demo(&root, as_root(guest, false, &demo)?, held)?;
    let root = root_of("root", "container-read-only")?;
    let eater = format!("container read-only among {} eater", root.display());
    ensure_eater(&root, as_root(guest, true, &eater)?, held)?;
    Ok(Next::Done)
}

/// Where the caller's group need not be changed, a container without systemd has the kernel's limits.
fn groups_of_a_container(guest: &Guest) -> Result<Next, Failure> {
    let root = root_of("root", "container-prepared")?;
    let eater = format!("container prepared among {} eater", root.display());
    ensure_eater(&root, as_root(guest, true, &eater)?, Held::ByKernel)?;
    // bij as the first and only process: the container's group ends with it.
    let root = root_of("root", "container-of-bij")?;
    let path = root.display();
    let output = as_root(
        guest,
        true,
        &format!(
            "container bij --root {path} run eater; code=$?
             bij --root {path} --json history eater >{path}/eater.json; exit $code"
        ),
    )?;
    ensure_eater(&root, output, Held::ByKernel)?;
    Ok(Next::Done)
}

fn killed_supervisor(guest: &Guest) -> Result<Next, Failure> {
    let root = root_of("root", "killed-of-root")?;
    as_root(guest, false, &format!("killed {}", root.display()))?.success()?;
    let root = root_of("tenant", "killed-of-tenant")?;
    as_tenant(guest, &format!("killed {}", root.display()))?.success()?;
    let root = root_of("root", "killed-in-container")?;
    as_root(guest, true, &format!("container killed {}", root.display()))?.success()?;
    Ok(Next::Done)
}

/// The tests of the crates that make control groups, from a shell as `cargo xtask test --lane unit` has it.
fn unit_tests_of_root(guest: &Guest) -> Result<Next, Failure> {
    root_of("root", "unit-tests-of-root")?;
    ensure_unit_tests(|command| as_root(guest, false, command))
}

fn unit_tests_of_a_user(guest: &Guest) -> Result<Next, Failure> {
    root_of("tenant", "unit-tests-of-tenant")?;
    ensure_unit_tests(|command| as_tenant(guest, command))
}

fn ensure_unit_tests(in_shell: impl Fn(&str) -> Result<Output, Failure>) -> Result<Next, Failure> {
    let programs: Vec<PathBuf> = std::fs::read_dir(UNIT_TESTS_PATH)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, Failure>>()?;
    ensure!(programs.len() > 2, "the test programs are {programs:?}");
    for program in programs {
        // Corpora of hostile input stay with the sources.
        let line = format!("{} --test-threads=2 --skip fuzz_", program.display());
        let output = in_shell(&line)?.success()?;
        output.says("test result: ok.")?;
    }
    Ok(Next::Done)
}
