//! The variables of an experiment reach the experiment, and nothing that runs as root.

mod names;
mod secrets;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::super::Scenario;
use crate::bij::{
    SOON, define_script, ensure_causes, history, override_unit, systemctl, unit, wait_for_ended,
    wait_for_line, wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::{define_env, property};

use names::{NAMES, REFUSED, TRACING};

pub(in super::super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "attack_variables_reach_no_privileged_process",
        Lane::CONTAINER,
        variables_reach_no_privileged_process,
    ),
    Scenario::new(
        "attack_planted_files_are_not_run_as_root",
        Lane::CONTAINER,
        planted_files_are_not_run_as_root,
    ),
    Scenario::new(
        "attack_forged_results_are_not_believed",
        Lane::CONTAINER,
        forged_results_are_not_believed,
    ),
    Scenario::new(
        "attack_secrets_are_seen_by_their_user_alone",
        Lane::CONTAINER,
        secrets::are_seen_by_their_user_alone,
    ),
    Scenario::new(
        "environment_files_read_as_systemd_reads_them",
        Lane::CONTAINER,
        files_read_as_systemd_reads_them,
    ),
];

/// The value of every forged variable.
const FORGED: &str = "forged";

/// Writes its own environment, as the kernel has it, and stays.
const WRITES_ITS_ENVIRONMENT: &str =
    "/bin/cp /proc/$$/environ \"$BIJ_STATE_DIR/environ\"; exec /bin/sleep 600";

/// The environment that an experiment with [`WRITES_ITS_ENVIRONMENT`] has had.
fn environment_of(id: &str) -> Result<BTreeMap<String, String>, Failure> {
    read_environment(&format!("/var/lib/brain-in-jar/experiments/{id}/environ"))
}

/// An environment as the kernel has it, or `env -0` prints it.
fn read_environment(path: &str) -> Result<BTreeMap<String, String>, Failure> {
    let text = fs::read(path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let entries = text.split_terminator('\0').filter_map(|entry| entry.split_once('='));
    Ok(entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Holds the write lock of the ledger, for which every hook waits.
struct LedgerHeld(Child);

impl LedgerHeld {
    fn new(guest: &Guest) -> Result<Self, Failure> {
        let script = "import sqlite3, sys\n\
             c = sqlite3.connect('/var/lib/brain-in-jar/state.db', isolation_level=None)\n\
             c.execute('BEGIN IMMEDIATE')\n\
             open('/run/ledger-held', 'w').close()\n\
             sys.stdin.read()\n";
        // A missing file is as good.
        let _ = fs::remove_file("/run/ledger-held");
        let mut python = Command::new("python3");
        let child = python.args(["-c", script]).stdin(Stdio::piped()).spawn()?;
        let held = Self(child);
        guest.wait_for("the ledger's lock", SOON, || {
            Ok(Path::new("/run/ledger-held").exists().then_some(()))
        })?;
        Ok(held)
    }
}

impl Drop for LedgerHeld {
    fn drop(&mut self) {
        // It may have ended by itself; the machine is thrown away.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process of a hook that runs now.
fn hook(guest: &Guest, verb: &str, id: &str) -> Result<String, Failure> {
    let pattern = format!("^/usr/libexec/brain-in-jar/bij-hook {verb} {id}$");
    guest.wait_for(&format!("bij-hook {verb} {id}"), SOON, || {
        let found = run("pgrep", ["-f", &pattern])?;
        Ok(found.stdout().lines().next().map(str::to_owned))
    })
}

/// What of these forged variables a process has in its environment.
fn forged_in(pid: &str) -> Result<Vec<String>, Failure> {
    let environment = read_environment(&format!("/proc/{pid}/environ"))?;
    Ok(environment.into_iter().filter(|(_, value)| value == FORGED).map(|(name, _)| name).collect())
}

/// Every name that ld.so(8), the C library, Rust's standard library, SQLite, the bus, systemd and bij
/// read, set by one definition: each reaches the experiment, none a process that runs as root.
fn variables_reach_no_privileged_process(guest: &Guest) -> Result<Next, Failure> {
    let id = "attack_names";
    let mut settings = String::from("[environment]\n");
    for name in NAMES {
        writeln!(settings, "{name} = \"{FORGED}\"").expect("a String takes everything");
    }
    define_script(id, WRITES_ITS_ENVIRONMENT, &settings)?;
    // What systemd gives every privileged command of the unit, beside what the hooks do with it.
    override_unit(
        id,
        "[Service]\nExecCondition=+/bin/cp /proc/self/environ /run/condition-environ\n\
         ExecStopPost=+/bin/cp /proc/self/environ /run/stop-environ\n",
    )?;
    let held = LedgerHeld::new(guest)?;
    run("systemctl", ["start", "--no-block", &unit(id)])?.success()?;
    let start = forged_in(&hook(guest, "start", id)?)?;
    drop(held);
    wait_for_state(guest, id, "active")?;
    guest.wait_for("the experiment's environment", SOON, || environment_of(id).map(Some))?;
    let held = LedgerHeld::new(guest)?;
    run("systemctl", ["stop", "--no-block", &unit(id)])?.success()?;
    let end = forged_in(&hook(guest, "end", id)?)?;
    drop(held);
    wait_for_state(guest, id, "inactive")?;
    let coordinator = forged_in(&property(super::super::coordinator::COORDINATOR, "MainPID")?)?;
    let of = |path: &str| -> Result<Vec<String>, Failure> {
        let environment = read_environment(path)?;
        let forged = environment.into_iter().filter(|(_, value)| value == FORGED);
        Ok(forged.map(|(name, _)| name).collect())
    };
    for (process, found) in [
        ("bij-hook start", start),
        ("bij-hook end", end),
        ("bijd", coordinator),
        ("ExecCondition=+", of("/run/condition-environ")?),
        ("ExecStopPost=+", of("/run/stop-environ")?),
    ] {
        ensure!(found.is_empty(), "{process} has {found:?}");
    }
    let reached = environment_of(id)?;
    let lost: Vec<_> =
        NAMES.iter().filter(|name| reached.get(**name).is_none_or(|it| it != FORGED)).collect();
    ensure!(lost.is_empty(), "{lost:?} did not reach the experiment");
    guest.tell(format!(
        "{} names reach the experiment and none of 5 processes of root",
        NAMES.len()
    ));
    for name in REFUSED {
        define_script(
            "attack_refused",
            "exit 0",
            &format!("[environment]\n{name} = \"{FORGED}\""),
        )?;
        let checked = run("bij", ["check", "attack_refused"])?;
        ensure!(!checked.succeeded(), "a definition may set {name}");
        checked.says("set this variable themselves")?;
    }
    traced(guest)
}

/// With these the dynamic linker prints and runs nothing: the experiment is traced, its hooks are not.
fn traced(guest: &Guest) -> Result<Next, Failure> {
    for (number, name) in TRACING.iter().enumerate() {
        let id = format!("attack_traced_{number}");
        let environment = format!("[restart]\nburst = 1\n[environment]\n{name} = \"1\"");
        define_script(&id, "exit 7", &environment)?;
        // What becomes of the traced program is its own affair.
        systemctl("start", &id)?;
        wait_for_ended(guest, &id, 1)?;
    }
    Ok(Next::Done)
}

/// Where the attacker may write.
const PLANTED: &str = "/opt/planted";

/// Variables by which each of the planted files would be found.
const LEADS_THERE: [(&str, &str); 7] = [
    ("LD_PRELOAD", "/opt/planted/libm.so.6"),
    ("LD_LIBRARY_PATH", "/opt/planted"),
    ("LD_DEBUG", "libs"),
    ("LD_DEBUG_OUTPUT", "/run/traced-by-linker"),
    ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/opt/planted/bus"),
    ("PATH", "/opt/planted:/usr/bin:/bin"),
    ("TMPDIR", "/opt/planted"),
];

/// A bus that notes who calls.
const BUS: &str = "import os, socket, struct\n\
    s = socket.socket(socket.AF_UNIX)\n\
    s.bind('/opt/planted/bus')\n\
    os.chmod('/opt/planted/bus', 0o777)\n\
    s.listen(64)\n\
    while True:\n\
    \x20   c, _ = s.accept()\n\
    \x20   cred = c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)\n\
    \x20   open('/opt/planted/callers', 'a').write('%d\\n' % struct.unpack('iii', cred)[1])\n";

fn planted_files_are_not_run_as_root(guest: &Guest) -> Result<Next, Failure> {
    sh(&format!(
        "rm -rf {PLANTED}; mkdir -m 0777 {PLANTED}
         cp /usr/lib/*/libm.so.6 {PLANTED}/
         for tool in journalctl systemctl nvpmodel getent env sh
         do printf '#!/bin/sh\\nid -u >> {PLANTED}/ran\\n' > {PLANTED}/$tool; done
         chmod 0755 {PLANTED}/*"
    ))?
    .success()?;
    let mut bus = Command::new("python3");
    let mut bus = bus.args(["-c", BUS]).stdin(Stdio::null()).spawn()?;
    let outcome = by_every_way(guest);
    bus.kill()?;
    bus.wait()?;
    outcome
}

fn by_every_way(guest: &Guest) -> Result<Next, Failure> {
    let bus = Path::new(PLANTED).join("bus");
    guest.wait_for("the planted bus", SOON, || Ok(bus.exists().then_some(())))?;
    // It fails once, so that its hooks have much to ask; the library is the experiment's to use.
    let script = "exit 9";
    let settings = "[restart]\nburst = 2\ndelay = \"100ms\"\n";
    let ids =
        ["planted_by_definition", "planted_by_env", "planted_by_option", "planted_by_operator"];
    let [by_definition, by_env, by_option, by_operator] = ids;
    let mut table = format!("{settings}[environment]\n");
    let (mut file, mut drop_in) = (String::new(), String::from("[Service]\n"));
    let mut submit = vec!["submit".to_owned(), by_option.to_owned()];
    for (name, value) in LEADS_THERE {
        writeln!(table, "{name} = \"{value}\"").expect("a String takes everything");
        writeln!(file, "{name}={value}").expect("a String takes everything");
        writeln!(drop_in, "Environment={name}={value}").expect("a String takes everything");
        submit.extend(["-E".to_owned(), format!("{name}={value}")]);
    }
    define_script(by_definition, script, &table)?;
    define_script(by_env, script, settings)?;
    define_env(by_env, &file)?;
    define_script(by_option, script, settings)?;
    define_script(by_operator, script, settings)?;
    override_unit(by_operator, &drop_in)?;
    for id in [by_definition, by_env, by_operator] {
        systemctl("start", id)?;
    }
    run("bij", &submit)?.success()?;
    for id in ids {
        wait_for_ended(guest, id, 2)?;
        ensure_causes(&history(id)?, &["exit", "exit"])?;
    }
    // `bij` as root with its caller's variables (`sudo -E`); those of the dynamic linker sudo strips (sudo(8)).
    let mut led: Vec<String> = LEADS_THERE
        .iter()
        .filter(|(name, _)| !name.starts_with("LD_"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    led.push("/usr/bin/bij".to_owned());
    for command in [
        &["list"][..],
        &["status", by_option],
        &["why", by_option],
        &["logs", by_option],
        &["queue"],
        &["start", by_definition],
        &["stop", by_definition],
        &["history", by_definition],
    ] {
        let mut words = led.clone();
        words.extend(command.iter().map(|word| (*word).to_owned()));
        run("/usr/bin/env", &words)?;
    }
    let traced = sh("ls /run/ | grep traced-by-linker || true")?.success()?;
    ensure_eq!(traced.stdout(), "", "files that the dynamic linker wrote as root");
    for witness in ["ran", "callers"] {
        let users = fs::read_to_string(Path::new(PLANTED).join(witness)).unwrap_or_default();
        ensure!(users.lines().all(|uid| uid != "0"), "{witness}: root was led there");
    }
    Ok(Next::Done)
}

/// An attempt that fails is recorded as failed, whatever an operator's drop-in sets for the whole unit. A
/// definition cannot set these names.
fn forged_results_are_not_believed(guest: &Guest) -> Result<Next, Failure> {
    let id = "forged_by_operator";
    let forged = [
        ("INVOCATION_ID", "00000000000000000000000000000001"),
        ("SERVICE_RESULT", "exec-condition"),
        ("EXIT_CODE", "exited"),
        ("EXIT_STATUS", "0"),
    ];
    let mut drop_in = String::from("[Service]\n");
    for (name, value) in forged {
        writeln!(drop_in, "Environment={name}={value}").expect("a String takes everything");
    }
    define_script(id, "exit 9", "[restart]\nburst = 1\n")?;
    override_unit(id, &drop_in)?;
    systemctl("start", id)?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_causes(&rows, &["exit"])?;
    ensure_eq!(rows[0]["exit_code"], 9, "the exit code of {id}");
    let invocation = rows[0]["invocation_id"].as_str().unwrap_or_default();
    ensure!(!invocation.is_empty() && invocation != forged[0].1, "recorded as {invocation:?}");
    wait_for_line(guest, id, "is wrong and ignored")?;
    Ok(Next::Done)
}

/// What an `.env` file may hold, as the older tool's users write it.
const OLDER_FILE: &str = "# a comment\n\
    ; another\n\
    PLAIN=value\n\
    SPACED =  two words  \n\
    SINGLE='single $HOME \\n'\n\
    DOUBLE=\"double \\\"quoted\\\" \\$HOME `x`\"\n\
    JOINED=one \\\ntwo\n\
    MIXED=a'b'\"c\"\n\
    HASH=value # no comment\n\
    EMPTY=\n\
    UTF8=grün 🧠\n\
    EXPERIMENT_RAM_LIMIT=64M\n\
    PLAIN_AGAIN=first\n\
    PLAIN_AGAIN=second\n";

/// The values are those that systemd itself would set by `EnvironmentFile=`.
fn files_read_as_systemd_reads_them(guest: &Guest) -> Result<Next, Failure> {
    let id = "older_env";
    define_script(id, WRITES_ITS_ENVIRONMENT, "")?;
    define_env(id, OLDER_FILE)?;
    systemctl("start", id)?.success()?;
    guest.wait_for("the experiment's environment", SOON, || environment_of(id).map(Some))?;
    let file = format!("/etc/brain-in-jar/experiments/{id}.env");
    let by_systemd = "/run/environment-by-systemd";
    fs::File::create(by_systemd)?.flush()?;
    run(
        "systemd-run",
        [
            "--wait",
            "--quiet",
            "--collect",
            &format!("--property=EnvironmentFile={file}"),
            "/bin/cp",
            "/proc/self/environ",
            by_systemd,
        ],
    )?
    .success()?;
    let (ours, theirs) = (environment_of(id)?, read_environment(by_systemd)?);
    let names = OLDER_FILE.lines().filter(|line| !line.starts_with(['#', ';']));
    let names = names.filter_map(|line| Some(line.split_once('=')?.0.trim()));
    let mut compared = 0;
    for name in names {
        ensure!(theirs.contains_key(name), "systemd sets no {name}");
        ensure_eq!(ours.get(name), theirs.get(name), "the value of {name}");
        compared += 1;
    }
    ensure!(compared > 10, "only {compared} variables were compared");
    ensure_eq!(property(&unit(id), "MemoryMax")?, "67108864", "the limit of the older name");
    Ok(Next::Done)
}
