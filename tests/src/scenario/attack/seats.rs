//! Connections that say nothing, and a coordinator that cannot be asked: no start passes its gates.

use std::time::{Duration, Instant};

use super::create_attackers;
use crate::bij::{SOON, define_script, systemctl, unit, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{queue, set_coordinator};
use crate::scenario::Scenario;
use crate::steps::{property, write};

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("attack_idle_connections", Lane::CONTAINER, idle_connections)
    },
    Scenario::new("attack_sockets_that_linger", Lane::CONTAINER, sockets_that_linger),
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("attack_absent_answer_is_no_yes", Lane::CONTAINER, absent_answer_is_no_yes)
    },
    Scenario {
        time_limit: Duration::from_secs(180),
        ..Scenario::new("attack_many_askers_of_a_long_queue", Lane::CONTAINER, many_askers)
    },
];

/// As many runs are submitted or cancelled by one call.
const AT_ONCE: usize = 2_500;

const WAITS: &str = "exec sleep 600";

/// Twenty users hold fifty connections each. Of twenty, one has said nothing, one is within the
/// handshake, the others have finished it; one that is hung up on comes back at once.
const FLOOD: &str = r"
import os, selectors, socket, sys, time
PATH = '/run/brain-in-jar/coordinator.sock'
def hold(uid):
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
    watch = selectors.DefaultSelector()
    def connect(nth):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(PATH)
            if nth % 20 > 0:
                s.sendall(b'\0AUTH EXTERNAL ' + str(uid).encode().hex().encode() + b'\r\n')
            if nth % 20 > 1:
                s.sendall(b'BEGIN\r\n')
        except OSError:
            pass
        s.setblocking(False)
        watch.register(s, selectors.EVENT_READ, nth)
    for nth in range(50):
        connect(nth)
    while True:
        for key, _ in watch.select():
            try:
                gone = not key.fileobj.recv(4096)
            except OSError:
                gone = True
            if gone:
                watch.unregister(key.fileobj)
                key.fileobj.close()
                time.sleep(0.05)
                connect(key.data)
for uid in range(20001, 20021):
    if os.fork() == 0:
        hold(uid)
time.sleep(600)
";

/// A thousand idle connections of twenty users: every start is gated, and answered as soon as
/// without them.
fn idle_connections(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=1\n")?;
    let (first, second) = ("attack_seats_first", "attack_seats_second");
    for id in [first, second] {
        define_script(id, WAITS, "")?;
    }
    systemctl("start", first)?.success()?;
    wait_for_state(guest, first, "active")?;
    // Loads its definition; it is turned away, and stays in the queue.
    systemctl("start", second)?.success()?;
    let quiet = median_start(second)?;
    write(std::path::Path::new("/run/flood.py"), FLOOD)?;
    sh("systemd-run --quiet --unit=attack-flood -p TasksMax=infinity -p LimitNOFILE=4096 \
        python3 /run/flood.py")?
    .success()?;
    let attacked = under_flood(guest, second);
    sh("systemctl stop attack-flood")?.success()?;
    let (flooded, member) = attacked?;
    guest.tell(format!(
        "a start that is turned away: {} ms, with 1000 idle connections {} ms; a member's answer: {} ms",
        quiet.as_millis(),
        flooded.as_millis(),
        member.as_millis()
    ));
    let bound = quiet + guest.patience(Duration::from_millis(100));
    ensure!(flooded <= bound, "a start took {flooded:?} instead of {quiet:?}");
    ensure!(member <= guest.patience(Duration::from_secs(2)), "a member waited {member:?}");
    ensure_eq!(property(&unit(second), "ActiveState")?, "inactive", "the one without a slot");
    Ok(Next::Done)
}

/// Passes sockets along that take an hour to close, to the coordinator's socket as a stranger and to the
/// filter's as a stranger again.
const LINGER: &str = r"
import array, os, signal, socket, struct, time
os.setgroups([]); os.setgid(20001); os.setuid(20001)
# Nothing is accepted or read: what is sent stays in the way.
server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen(64)
def lingering():
    s = socket.create_connection(server.getsockname())
    s.setblocking(False)
    try:
        while True: s.send(b'x' * 65536)
    except BlockingIOError: pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 3600))
    return s
def attack(path, kind, text):
    child = os.fork()
    if child == 0:
        s = socket.socket(socket.AF_UNIX, kind)
        s.connect(path)
        passed = [lingering() for _ in range(3)]
        rights = array.array('i', [it.fileno() for it in passed])
        s.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        # The last copy is the one that lingers: should the receiver be the first, this one is ended.
        for it in passed: it.close()
        os._exit(0)
    time.sleep(0.3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
for _ in range(5):
    attack('/run/brain-in-jar/coordinator.sock', socket.SOCK_STREAM, b'\0AUTH EXTERNAL\r\n')
    attack('/run/brain-in-jar/notify', socket.SOCK_DGRAM, b'BARRIER=1')
print('attacked', flush=True)
time.sleep(600)
";

/// Sockets whose closing takes an hour come with messages: the coordinator answers, and heartbeats arrive.
fn sockets_that_linger(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    let beats = "systemd-notify --ready; while :; do systemd-notify WATCHDOG=1; sleep 0.5; done";
    let id = "attack_linger_beats";
    define_script(id, beats, "[health]\nnotify = true\nwatchdog = \"5s\"\n")?;
    systemctl("start", id)?.success()?;
    write(std::path::Path::new("/run/linger.py"), LINGER)?;
    sh("systemd-run --quiet --unit=attack-linger python3 /run/linger.py")?.success()?;
    let outcome = guest.wait_for("the attack", SOON, || {
        let journal = sh("journalctl -b -o cat -u attack-linger")?;
        Ok(journal.stdout().contains("attacked").then_some(()))
    });
    let begun = Instant::now();
    let answered = super::as_member("bij pause; bij resume; bij --json queue");
    let took = begun.elapsed();
    std::thread::sleep(guest.patience(Duration::from_secs(6)));
    let restarts = property(&unit(id), "NRestarts");
    sh("systemctl stop attack-linger")?.success()?;
    outcome?;
    answered?.success()?;
    ensure!(took <= guest.patience(Duration::from_secs(5)), "a member waited {took:?}");
    ensure_eq!(restarts?, "0", "restarts by a watchdog without heartbeats");
    Ok(Next::Done)
}

fn under_flood(guest: &Guest, second: &str) -> Result<(Duration, Duration), Failure> {
    // All of them have connected, or tried to, when none is left in the line.
    std::thread::sleep(guest.patience(Duration::from_secs(4)));
    let flooded = median_start(second)?;
    ensure_eq!(property(&unit(second), "ActiveState")?, "inactive", "the one without a slot");
    ensure!(!queue()?.is_empty(), "root sees no queue");
    let begun = Instant::now();
    super::as_member("bij pause; bij resume; bij --json queue")?.success()?;
    Ok((flooded, begun.elapsed() / 3))
}

/// The time of the third fastest of five starts.
fn median_start(id: &str) -> Result<Duration, Failure> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        systemctl("start", id)?.success()?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[2])
}

/// The coordinator is dead and does not come back for a while: a start is kept on the disk, and
/// begins in its turn when the coordinator is there again.
fn absent_answer_is_no_yes(guest: &Guest) -> Result<Next, Failure> {
    let program = "/usr/libexec/brain-in-jar/bijd";
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=1\n")?;
    let (first, second) = ("attack_absent_first", "attack_absent_second");
    for id in [first, second] {
        define_script(id, WAITS, "")?;
    }
    systemctl("start", first)?.success()?;
    wait_for_state(guest, first, "active")?;
    sh(&format!(
        "mv {program} {program}.away
         systemctl kill --signal=KILL brain-experiment-coordinator || true"
    ))?
    .success()?;
    let started = systemctl("start", second);
    let state = property(&unit(second), "ActiveState");
    sh(&format!("mv {program}.away {program}; systemctl restart brain-experiment-coordinator"))?
        .success()?;
    let _ = started?;
    ensure_eq!(state?, "inactive", "the one that could not ask");
    let journal = run("journalctl", ["-b", "-o", "cat", "--no-pager", "-u", &unit(second)])?;
    journal.says("does not answer")?;
    guest.wait_for("the start in the queue", SOON, || {
        Ok(queue()?.iter().any(|row| row["experiment"] == second).then_some(()))
    })?;
    systemctl("stop", first)?.success()?;
    wait_for_state(guest, second, "active")?;
    Ok(Next::Done)
}

/// Fifty processes of a stranger list a queue of 10,000 runs again and again: a submission is taken in
/// soon, and the coordinator's memory is bounded.
fn many_askers(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    let id = "attack_askers";
    define_script(id, "true", "")?;
    run("bij", ["pause"])?.success()?;
    let result = with_a_long_queue(guest, id);
    sh("systemctl stop attack-askers 2>/dev/null || true")?;
    let runs: Vec<String> = queue()?
        .iter()
        .filter(|row| row["experiment"] == id)
        .map(|row| format!("{id}#{}", row["run"]))
        .collect();
    // One by one, as after other scenarios, it would take an hour.
    for some in runs.chunks(AT_ONCE) {
        run("bij", ["cancel"].into_iter().chain(some.iter().map(String::as_str)))?.success()?;
    }
    run("bij", ["resume"])?.success()?;
    result
}

fn with_a_long_queue(guest: &Guest, id: &str) -> Result<Next, Failure> {
    for _ in 0..4 {
        run("bij", ["submit", "--hold"].into_iter().chain(std::iter::repeat_n(id, AT_ONCE)))?
            .success()?;
    }
    sh("systemd-run --quiet --unit=attack-askers -p TasksMax=infinity --uid=stranger sh -c \
        'for n in $(seq 50); do (while :; do bij --json queue >/dev/null 2>&1; done) & done; wait'")?
    .success()?;
    std::thread::sleep(guest.patience(Duration::from_secs(8)));
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        run("bij", ["submit", "--hold", id])?.success()?;
        slowest = slowest.max(begun.elapsed());
    }
    let process = property("brain-experiment-coordinator.service", "MainPID")?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.trim()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap_or(u64::MAX);
    guest.tell(format!(
        "50 askers over 10,000 runs: the slowest of 5 submissions took {} ms, memory went to {} MB",
        slowest.as_millis(),
        peak / 1024
    ));
    ensure!(slowest < guest.patience(Duration::from_secs(4)), "a submission took {slowest:?}");
    ensure!(peak < 300 * 1024, "memory went to {peak} kB");
    Ok(Next::Done)
}
