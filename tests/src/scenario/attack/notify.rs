//! Messages by which an experiment tries to move its own limits, or to hold up the service manager.
//!
//! systemd takes `EXTEND_TIMEOUT_USEC=`, `WATCHDOG_USEC=` and the like from every process of a unit
//! (`sd_notify(3)`), and each message costs PID 1 work. What a definition promises must hold against them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::create_attackers;
use crate::bij::{
    SOON, define_script, ensure_causes, render_all, systemctl, unit, wait_for_ended, wait_for_line,
    wait_for_state,
};
use crate::check::{Failure, ensure};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::scenario::Scenario;
use crate::steps::{property, write};

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario::new("attack_a_time_limit_is_not_extended_from_inside", Lane::CONTAINER, |guest| {
        with_program(|| a_time_limit_is_not_extended(guest))
    }),
    Scenario::new("attack_a_grace_is_not_extended_from_inside", Lane::CONTAINER, |guest| {
        with_program(|| a_grace_is_not_extended(guest))
    }),
    Scenario::new("attack_a_watchdog_is_not_switched_off_from_inside", Lane::CONTAINER, |guest| {
        with_program(|| a_watchdog_is_not_switched_off(guest))
    }),
    Scenario::new(
        "attack_floods_of_messages_reach_neither_the_manager_nor_a_neighbour",
        Lane::CONTAINER,
        |guest| with_program(|| floods_reach_neither_the_manager_nor_a_neighbour(guest)),
    ),
    Scenario::new(
        "attack_a_socket_handed_into_the_sandbox_moves_no_limit",
        Lane::CONTAINER,
        |guest| with_program(|| a_socket_handed_into_the_sandbox_moves_no_limit(guest)),
    ),
    Scenario::new("attack_the_filter_of_messages_is_worth_little", Lane::CONTAINER, |guest| {
        with_program(|| the_filter_is_worth_little(guest))
    }),
    Scenario::new("attack_messages_survive_kills_of_their_filter", Lane::CONTAINER, |guest| {
        with_program(|| messages_survive_kills_of_their_filter(guest))
    }),
];

/// The unit of the filter between experiments and PID 1.
const FILTER: &str = "brain-experiment-notify.service";

/// Sends messages to every address at which PID 1 may listen for them.
const PROGRAM_PATH: &str = "/opt/attack/notify.py";
const PROGRAM: &str = r#"
import os, signal, socket, sys, time

ADDRESSES = {os.environ.get("NOTIFY_SOCKET", ""), "/run/systemd/notify",
             "/proc/1/root/run/systemd/notify", "/run/systemd/../systemd/notify"}

def say(text, addresses=ADDRESSES):
    for address in addresses:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            try:
                out.sendto(text.encode(), address.replace("@", "\0"))
            except OSError:
                pass

def own(text):
    say(text, [os.environ["NOTIFY_SOCKET"]])

def extend():
    while True:
        say("EXTEND_TIMEOUT_USEC=60000000")
        say("READY=1\nEXTEND_TIMEOUT_USEC=60000000")
        say("RELOADING=1\nEXTEND_TIMEOUT_USEC=60000000")
        say("READY=1")
        time.sleep(0.2)

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    own("READY=1")
    print("I stay", flush=True)
    extend()

def silent():
    own("READY=1")
    for _ in range(5):
        say("WATCHDOG_USEC=0")
        say("WATCHDOG_USEC=600000000\nSTATUS=quiet")
        say("WATCHDOG_USEC=18446744073709551615")
    print("silent now", flush=True)
    time.sleep(600)

def flood():
    own("READY=1")
    sockets = []
    for address in ADDRESSES:
        out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            out.connect(address.replace("@", "\0"))
            sockets.append(out)
        except OSError:
            pass
    print("flooding", flush=True)
    count = 0
    while True:
        count += 1
        for out in sockets:
            try:
                out.send(b"READY=1\nSTATUS=%d\nWATCHDOG=1" % count)
            except OSError:
                pass

def beat():
    own("READY=1")
    count = 0
    while True:
        count += 1
        own("WATCHDOG=1\nSTATUS=beat %d" % count)
        time.sleep(0.3)

def hand_in():
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    out.connect("/run/systemd/notify")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind("\0attack-hand-in")
    server.listen()
    while True:
        client = server.accept()[0]
        socket.send_fds(client, [b"x"], [out.fileno()])
        client.close()

def helped():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    own("READY=1")
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect("\0attack-hand-in")
    _, [descriptor], _, _ = socket.recv_fds(client, 1, 1)
    handed = socket.socket(fileno=descriptor)
    print("I stay", flush=True)
    while True:
        handed.send(b"EXTEND_TIMEOUT_USEC=60000000")
        time.sleep(0.1)

globals()[sys.argv[1]]()
"#;

/// Runs a scenario with [`PROGRAM`] in place, and leaves nothing behind that would not go when asked.
fn with_program(scenario: impl FnOnce() -> Result<(), Failure>) -> Result<Next, Failure> {
    create_attackers()?;
    write(Path::new(PROGRAM_PATH), PROGRAM)?;
    let held = scenario();
    sh("systemctl kill --signal=KILL 'brain-experiment@attack_*.service' || true")?;
    held.map(|()| Next::Done)
}

/// A definition that runs one function of [`PROGRAM`] and is not started again.
fn define_attack(id: &str, function: &str, rest: &str) -> Result<(), Failure> {
    let rest = format!("{rest}\n[restart]\nburst = 1\ndelay = \"100ms\"\n");
    define_script(id, &format!("exec python3 {PROGRAM_PATH} {function}"), &rest)
}

/// What is put before the tables of a definition, and into them, so that the attack is tried in each
/// sandbox and with each way to be notified.
const VARIANTS: &[(&str, &str, &str)] = &[
    ("plain", "", ""),
    ("notify", "", "[health]\nnotify = true\n"),
    ("strict", "", "[health]\nnotify = true\n[sandbox]\nprofile = \"strict\"\n"),
    ("trusted", "user = \"stranger\"\n", "[sandbox]\nprofile = \"trusted\"\n"),
];

/// How much later than promised an end may come, at native speed.
const LATE: Duration = Duration::from_secs(4);

/// How long the main process of the last attempt of a unit ran.
fn ran_for(id: &str) -> Result<Duration, Failure> {
    let micros = |name| -> Result<u64, Failure> {
        let text = property(&unit(id), name)?;
        text.parse().map_err(|_| Failure::new(format!("{name} of {id} is {text:?}")))
    };
    let from = micros("ExecMainStartTimestampMonotonic")?;
    let to = micros("ExecMainExitTimestampMonotonic")?;
    ensure!(to > from, "{id} has not ended");
    Ok(Duration::from_micros(to - from))
}

/// `time` ends an experiment that asks for more, one second later than promised at most; where it ignores
/// its stop signal, `grace` later.
fn a_time_limit_is_not_extended(guest: &Guest) -> Result<(), Failure> {
    let ids: Vec<String> =
        VARIANTS.iter().map(|(name, ..)| format!("attack_time_{name}")).collect();
    for (id, (_, top, tables)) in ids.iter().zip(VARIANTS) {
        let rest = format!("{top}[limits]\ntime = \"3s\"\n[stop]\ngrace = \"2s\"\n{tables}");
        define_attack(id, "stubborn", &rest)?;
    }
    render_all()?;
    for id in &ids {
        systemctl("start", id)?.success()?;
    }
    for id in &ids {
        ensure_causes(&wait_for_ended(guest, id, 1)?, &["time-limit"])?;
        let ran = ran_for(id)?;
        let limit = Duration::from_secs(5) + guest.patience(LATE);
        ensure!(ran <= limit, "{id} with time = 3s and grace = 2s ran for {ran:?}");
    }
    Ok(())
}

fn a_grace_is_not_extended(guest: &Guest) -> Result<(), Failure> {
    for (name, top, tables) in VARIANTS {
        let id = format!("attack_grace_{name}");
        define_attack(&id, "stubborn", &format!("{top}[stop]\ngrace = \"2s\"\n{tables}"))?;
    }
    render_all()?;
    for (name, ..) in VARIANTS {
        let id = format!("attack_grace_{name}");
        systemctl("start", &id)?.success()?;
        wait_for_line(guest, &id, "I stay")?;
        let asked = Instant::now();
        run("systemctl", ["stop", "--no-block", &unit(&id)])?.success()?;
        ensure_causes(&wait_for_ended(guest, &id, 1)?, &["stop-timeout"])?;
        let took = asked.elapsed();
        let limit = Duration::from_secs(2) + guest.patience(LATE);
        ensure!(took <= limit, "{id} with grace = 2s left after {took:?}");
    }
    Ok(())
}

/// A stranger connects a socket to PID 1 and hands it to two experiments, by which they reach PID 1 from
/// inside their sandbox. The coordinator holds `time` and `grace` all the same.
fn a_socket_handed_into_the_sandbox_moves_no_limit(guest: &Guest) -> Result<(), Failure> {
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    let accomplice =
        ["--quiet", "--collect", "--unit=attack-accomplice", "--uid=stranger", "python3"];
    run("systemd-run", accomplice.into_iter().chain([PROGRAM_PATH, "hand_in"]))?.success()?;
    guest.wait_for("the accomplice", SOON, || {
        Ok(fs::read_to_string("/proc/net/unix")?.contains("@attack-hand-in").then_some(()))
    })?;
    let grace = "[stop]\ngrace = \"2s\"\n[health]\nnotify = true\n";
    define_attack("attack_helped_time", "helped", &format!("[limits]\ntime = \"3s\"\n{grace}"))?;
    define_attack("attack_helped_grace", "helped", grace)?;
    render_all()?;
    for id in ["attack_helped_time", "attack_helped_grace"] {
        systemctl("start", id)?.success()?;
        wait_for_line(guest, id, "I stay")?;
    }
    run("systemctl", ["stop", "--no-block", &unit("attack_helped_grace")])?.success()?;
    let asked = Instant::now();
    guest.wait_for("both to be gone", Duration::from_secs(20), || {
        for id in ["attack_helped_time", "attack_helped_grace"] {
            let state = property(&unit(id), "ActiveState")?;
            ensure!(matches!(&*state, "inactive" | "failed"), "{id} is {state}");
        }
        Ok(Some(()))
    })?;
    guest.tell(format!("gone {:?} after the stop", asked.elapsed()));
    ensure_causes(&wait_for_ended(guest, "attack_helped_time", 1)?, &["time-limit"])?;
    run("systemctl", ["stop", "attack-accomplice"])?.success()?;
    Ok(())
}

fn a_watchdog_is_not_switched_off(guest: &Guest) -> Result<(), Failure> {
    let profiles = [
        ("plain", "", "notify = false\n"),
        ("notify", "", "notify = true\n"),
        ("strict", "", "notify = true\n[sandbox]\nprofile = \"strict\"\n"),
        ("trusted", "user = \"stranger\"\n", "[sandbox]\nprofile = \"trusted\"\n"),
    ];
    for (name, top, rest) in profiles {
        let health = format!("{top}[health]\nwatchdog = \"3s\"\n{rest}");
        define_attack(&format!("attack_silent_{name}"), "silent", &health)?;
    }
    render_all()?;
    for (name, ..) in profiles {
        systemctl("start", &format!("attack_silent_{name}"))?.success()?;
    }
    for (name, ..) in profiles {
        let id = format!("attack_silent_{name}");
        ensure_causes(&wait_for_ended(guest, &id, 1)?, &["watchdog"])?;
    }
    Ok(())
}

/// Processor time that PID 1 has taken.
fn manager_time() -> Result<Duration, Failure> {
    let stat = fs::read_to_string("/proc/1/stat")?;
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // `USER_HZ` of proc_pid_stat(5) is 100 wherever Linux runs bij.
    Ok(Duration::from_millis(ticks * 10))
}

/// The median time of a question to PID 1.
fn answer_time() -> Result<Duration, Failure> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let asked = Instant::now();
        run("systemctl", ["list-units", "--no-pager"])?.success()?;
        times.push(asked.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn floods_reach_neither_the_manager_nor_a_neighbour(guest: &Guest) -> Result<(), Failure> {
    let health = "[health]\nnotify = true\nwatchdog = \"3s\"\n";
    define_attack("attack_neighbour", "beat", health)?;
    // Busy without messages: what two busy processes cost everybody is no fault of theirs.
    for id in ["attack_busy_1", "attack_busy_2"] {
        define_script(id, "while :; do :; done", "")?;
    }
    for id in ["attack_flood_1", "attack_flood_2"] {
        define_attack(id, "flood", "[health]\nnotify = true\n")?;
    }
    render_all()?;
    systemctl("start", "attack_neighbour")?.success()?;
    let busy = ["attack_busy_1", "attack_busy_2"];
    for id in busy {
        systemctl("start", id)?.success()?;
    }
    let undisturbed = answer_time()?;
    for id in busy {
        systemctl("stop", id)?.success()?;
    }
    for id in ["attack_flood_1", "attack_flood_2"] {
        systemctl("start", id)?.success()?;
        wait_for_line(guest, id, "flooding")?;
    }
    let disturbed = answer_time()?;
    let (since, before) = (Instant::now(), manager_time()?);
    std::thread::sleep(Duration::from_secs(6));
    let taken = manager_time()?.saturating_sub(before);
    let share = taken.as_secs_f64() / since.elapsed().as_secs_f64();
    let status = property(&unit("attack_neighbour"), "StatusText")?;
    guest.tell(format!(
        "under two floods PID 1 took {:.1} % of a core and answered in {disturbed:?}, {undisturbed:?} beside two busy loops; neighbour: {status}",
        share * 100.0
    ));
    let is_busy = share > 0.25;
    ensure!(!is_busy, "PID 1 was busy for {:.0} % of the time", share * 100.0);
    let limit = undisturbed * 3 + guest.patience(Duration::from_millis(100));
    ensure!(disturbed <= limit, "PID 1 answered in {disturbed:?} instead of {undisturbed:?}");
    wait_for_state(guest, "attack_neighbour", "active")?;
    ensure!(property(&unit("attack_neighbour"), "NRestarts")? == "0", "the neighbour died");
    guest.wait_for("the neighbour's newest status", SOON, || {
        let now = property(&unit("attack_neighbour"), "StatusText")?;
        Ok((now != status && now.starts_with("beat")).then_some(()))
    })?;
    Ok(())
}

/// Heartbeats and status reach systemd while their filter is killed again and again, and what a child says
/// that leaves at once does too.
fn messages_survive_kills_of_their_filter(guest: &Guest) -> Result<(), Failure> {
    define_attack("attack_beats", "beat", "[health]\nnotify = true\nwatchdog = \"3s\"\n")?;
    let shell = "systemd-notify --ready; systemd-notify --status='from a child'; exec sleep 600";
    define_script("attack_child", shell, "[health]\nnotify = true\n")?;
    render_all()?;
    systemctl("start", "attack_beats")?.success()?;
    for _ in 0..20 {
        guest.wait_for("the filter", SOON, || {
            Ok((property(FILTER, "ActiveState")? == "active").then_some(()))
        })?;
        run("systemctl", ["kill", "--signal=KILL", FILTER])?.success()?;
    }
    systemctl("start", "attack_child")?.success()?;
    guest.wait_for("the words of a child", SOON, || {
        Ok((property(&unit("attack_child"), "StatusText")? == "from a child").then_some(()))
    })?;
    ensure!(property(&unit("attack_beats"), "ActiveState")? == "active", "heartbeats were lost");
    ensure!(property(&unit("attack_beats"), "NRestarts")? == "0", "heartbeats were lost");
    Ok(())
}

/// Whoever takes over the filter has a user without files and one capability.
fn the_filter_is_worth_little(guest: &Guest) -> Result<(), Failure> {
    define_attack("attack_quiet", "beat", "[health]\nnotify = true\n")?;
    systemctl("start", "attack_quiet")?.success()?;
    let pid = property(FILTER, "MainPID")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_default().to_owned()
    };
    ensure!(!field("Uid").starts_with("0\t"), "it runs as root: {status}");
    // CAP_SYS_ADMIN is 21.
    for set in ["CapEff", "CapBnd", "CapPrm"] {
        ensure!(field(set) == "0000000000200000", "{set} of the filter: {status}");
    }
    ensure!(field("NoNewPrivs") == "1", "it may gain privileges: {status}");
    if guest.systemd() >= 252 {
        let file = format!("/usr/lib/systemd/system/{FILTER}");
        run("systemd-analyze", ["security", "--offline=true", "--threshold=10", &file])?
            .success()?;
    }
    Ok(())
}
