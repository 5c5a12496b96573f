//! How soon the queue moves on, and what the coordinator costs when nothing happens: told, and judged
//! by nobody's clock.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Scenario;
use super::coordinator::{COORDINATOR, ids};
use crate::bij::{define_command, define_script, override_unit, render_all, unit};
use crate::check::{Failure, ensure_eq};
use crate::command::{run, run_for};
use crate::guest::{Guest, Next};
use crate::protocol::{Lane, PEERS_PATH};
use crate::queue::{queue, set_coordinator};
use crate::steps::property;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("speed_of_the_queue", &[Lane::Machine], of_the_queue)
    },
    Scenario {
        time_limit: Duration::from_secs(300),
        ..Scenario::new("speed_of_waiting", &[Lane::Machine], of_waiting)
    },
];

/// Runs that are waited for, through [`SLOTS`] slots.
const RUNS: u32 = 240;
const SLOTS: u32 = 4;
/// Commands that do nothing in place of the hooks, and of the launcher that reads what they write.
const FLOOR: &str = "[Service]\nExecCondition=\nExecStop=\nExecStopPost=\n\
     ExecCondition=+/bin/true\nExecStop=-+/bin/true\nExecStopPost=-+/bin/true\n\
     ExecStart=\nExecStart=/bin/true\n";
/// A sandbox as that of an experiment.
const SYSTEMD_RUN: &str = "systemd-run --quiet --wait --property=DynamicUser=yes --property=ProtectSystem=strict \
     --property=PrivateTmp=yes --property=PrivateDevices=yes --property=ProtectHome=read-only /bin/true";
/// What a bench has for all runs of one contender.
const BENCH: Duration = Duration::from_secs(1200);

/// Many short runs through a few slots, waited for by one `bij wait`, beside the same units with hooks that do
/// nothing, `systemd-run --wait` with a like sandbox, as many at a time, and pueue if the host brought it.
fn of_waiting(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator(&format!("MAX_CONCURRENT_EXPERIMENTS={SLOTS}\n"))?;
    let runs = guest.rounds(RUNS);
    // A unit of its own for each run up to a number: thousands of definitions say no more about the queue.
    let ids = ids("speed_wait", runs.min(RUNS) as usize);
    for id in &ids {
        define_command(id, &["/bin/true"], "")?;
    }
    for slot in 1..=SLOTS {
        let id = format!("speed_floor_{slot}");
        define_command(&id, &["/bin/true"], "[restart]\nburst = 1000000\n")?;
        override_unit(&id, FLOOR)?;
    }
    render_all()?;
    let per_run = |took: Duration, runs: u32| took.as_secs_f64() * 1e3 / f64::from(runs);
    // The floor is measured before and after: machines are shared.
    let systemctl = "systemctl start --wait brain-experiment@speed_floor_$slot";
    let floor_before = per_run(side_by_side(runs / 2, systemctl)?, runs / 2);
    let (took, processor) = queued(&ids, runs)?;
    let ours = per_run(took, runs);
    let floor_after = per_run(side_by_side(runs / 2, systemctl)?, runs / 2);
    let floor = f64::midpoint(floor_before, floor_after);
    guest.tell(format!(
        "{runs} runs of /bin/true through {SLOTS} slots, by one bij wait: {ours:.1} ms a run, {:.2} x the floor \
         (before {floor_before:.1} ms, after {floor_after:.1} ms); bij wait took {:.2} % of a processor",
        ours / floor,
        processor / took.as_secs_f64() * 100.0,
    ));
    let peers = runs.min(4 * RUNS);
    let systemd_run = per_run(side_by_side(peers, SYSTEMD_RUN)?, peers);
    guest.tell(format!(
        "systemd-run --wait: {systemd_run:.1} ms a run, ours are {:.2} x",
        ours / systemd_run
    ));
    if Path::new(PEERS_PATH).join("pueued").exists() {
        let pueue = per_run(of_pueue(peers)?, peers);
        guest.tell(format!("pueue: {pueue:.1} ms a run, ours are {:.2} x", ours / pueue));
    }
    Ok(Next::Done)
}

/// How long a command takes that is run this often, through the slots.
fn side_by_side(runs: u32, command: &str) -> Result<Duration, Failure> {
    let script = format!(
        "for slot in $(seq {SLOTS}); do (for run in $(seq {}); do {command} || exit 1; done) & done
         for job in $(jobs -p); do wait $job || exit 1; done",
        runs / SLOTS
    );
    let begun = Instant::now();
    run_for(BENCH, "sh", ["-euc", &script])?.success()?;
    Ok(begun.elapsed())
}

/// How long the queue takes for this many runs, and how many seconds of a processor `bij wait` took.
fn queued(ids: &[String], runs: u32) -> Result<(Duration, f64), Failure> {
    let begun = Instant::now();
    let mut left = runs as usize;
    while left > 0 {
        let next = &ids[..ids.len().min(left)];
        run("bij", ["-q", "submit"].into_iter().chain(next.iter().map(String::as_str)))?
            .success()?;
        left -= next.len();
    }
    let line = ["-c", MEASURED, "bij", "-q", "wait"];
    let waited = run_for(BENCH, "python3", line.into_iter().chain(ids.iter().map(String::as_str)))?;
    let took = begun.elapsed();
    ensure_eq!(queue()?.len(), 0, "the runs that are left when the wait is over");
    Ok((took, number(waited.success()?.stdout())?))
}

/// How long pueue takes: all runs are added while it is paused, as `bij submit` of many adds them at once.
fn of_pueue(runs: u32) -> Result<Duration, Failure> {
    let script = format!(
        "export PATH={PEERS_PATH}:$PATH HOME=$(mktemp -d) XDG_RUNTIME_DIR=$(mktemp -d)
         pueued >/dev/null 2>&1 & daemon=$!
         until pueue pause >/dev/null 2>&1; do sleep 0.1; done
         pueue parallel {SLOTS} >/dev/null
         for run in $(seq {runs}); do pueue add -- /bin/true >/dev/null; done
         begun=$(date +%s%N); pueue start; pueue wait --quiet; ended=$(date +%s%N)
         kill $daemon; wait $daemon || true
         echo $((ended - begun)) | tail -n 1"
    );
    let output = run_for(BENCH, "sh", ["-euc", &script])?.success()?;
    let nanoseconds = number(output.stdout().lines().last().unwrap_or_default())?;
    Ok(Duration::from_secs_f64(nanoseconds / 1e9))
}

/// Runs a command and prints how many seconds of a processor it took.
const MEASURED: &str = "\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)";

/// So many moments are told the median of.
const GAPS: usize = 20;
const IDLE: Duration = Duration::from_secs(20);

fn of_the_queue(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=1\n")?;
    let ids = ids("speed_chain", GAPS + 1);
    for id in &ids {
        // Never resurrected, and failed: its unit stays loaded, with all that systemd knows of it.
        define_script(id, "sleep 0.1; exit 78", "")?;
    }
    render_all()?;
    let follower = Follower::start()?;
    run("bij", ["submit"].into_iter().chain(ids.iter().map(String::as_str)))?.success()?;
    let last = unit(&ids[GAPS]);
    guest.wait_for("the end of the chain", Duration::from_secs(60), || {
        Ok((property(&last, "ActiveState")? == "failed").then_some(()))
    })?;
    let mut heard = follower.ends(guest, ids.len())?;
    let mut gaps = Vec::new();
    for pair in ids.windows(2) {
        let free = moment(&pair[0], "InactiveEnterTimestampMonotonic")?;
        gaps.push(moment(&pair[1], "InactiveExitTimestampMonotonic")? - free);
    }
    let (next, next_most) = summary(&mut gaps);
    let (end, end_most) = summary(&mut heard);
    guest.tell(format!(
        "the next is started {next:.1} ms after a slot is free, {next_most:.1} at most; a follower \
         hears of an end {end:.1} ms after it was recorded, {end_most:.1} at most"
    ));
    std::thread::sleep(Duration::from_secs(2));
    let before = Cost::of_coordinator()?;
    std::thread::sleep(IDLE);
    let after = Cost::of_coordinator()?;
    guest.tell(format!(
        "a coordinator to whom nothing happens wakes up {:.2} times a second, takes {:.3} % of a \
         processor and writes {} bytes in {IDLE:?}",
        (after.switches - before.switches) / IDLE.as_secs_f64(),
        (after.nanoseconds - before.nanoseconds) / IDLE.as_secs_f64() / 1e7,
        after.written - before.written,
    ));
    Ok(Next::Done)
}

/// A moment that systemd knows of a unit, in microseconds.
fn moment(id: &str, name: &str) -> Result<f64, Failure> {
    number(&property(&unit(id), name)?)
}

fn number(text: &str) -> Result<f64, Failure> {
    text.trim().parse().map_err(|_| Failure::new(format!("{text:?} is no number")))
}

/// The median and the most of these microseconds, in milliseconds.
fn summary(micros: &mut [f64]) -> (f64, f64) {
    micros.sort_by(f64::total_cmp);
    (micros[micros.len() / 2] / 1e3, micros[micros.len() - 1] / 1e3)
}

/// `bij events -f`, and when it has said what.
struct Follower {
    process: Child,
    heard: Arc<Mutex<Vec<(f64, Value)>>>,
}

impl Follower {
    fn start() -> Result<Self, Failure> {
        let mut command = Command::new("bij");
        command.args(["--json", "events", "-f"]).stdout(Stdio::piped());
        let failed = |error| Failure::new(format!("bij events cannot be run: {error}"));
        let mut process = command.spawn().map_err(failed)?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        if let Some(said) = process.stdout.take() {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || {
                for line in BufReader::new(said).lines().map_while(Result::ok) {
                    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    let Ok(event) = serde_json::from_str(&line) else { continue };
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.push((at.as_secs_f64() * 1e6, event));
                }
            });
        }
        Ok(Self { process, heard })
    }

    /// How long after the ends of so many attempts it has heard of them, in microseconds.
    fn ends(&self, guest: &Guest, count: usize) -> Result<Vec<f64>, Failure> {
        guest.wait_for("the follower", Duration::from_secs(10), || {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let of_chain = |event: &Value| {
                event["kind"] == "attempt-ended"
                    && event["experiment"].as_str().is_some_and(|id| id.starts_with("speed_chain"))
            };
            let late: Vec<f64> = heard
                .iter()
                .filter(|(_, event)| of_chain(event))
                .filter_map(|(at, event)| {
                    let recorded = time_of_day(event["at"].as_str()?)?;
                    Some((at % DAY - recorded).rem_euclid(DAY))
                })
                .collect();
            Ok((late.len() >= count).then_some(late))
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It is of no use to anybody else, gone or not.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const DAY: f64 = 86_400e6;

/// The time of day of a time of RFC 3339 in UTC, in microseconds.
fn time_of_day(text: &str) -> Option<f64> {
    let (_, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let parts: Vec<f64> = clock.split(':').map_while(|part| part.parse().ok()).collect();
    let [hours, minutes, seconds] = parts[..] else { return None };
    Some(((hours * 60.0 + minutes) * 60.0 + seconds) * 1e6)
}

/// What the kernel has counted of the coordinator.
struct Cost {
    switches: f64,
    nanoseconds: f64,
    written: f64,
}

impl Cost {
    fn of_coordinator() -> Result<Self, Failure> {
        let process = PathBuf::from("/proc").join(property(COORDINATOR, "MainPID")?.trim());
        let mut cost = Self { switches: 0.0, nanoseconds: 0.0, written: 0.0 };
        let tasks = std::fs::read_dir(process.join("task"))
            .map_err(|error| Failure::new(format!("{}: {error}", process.display())))?;
        for task in tasks.flatten() {
            let status = read(&task.path().join("status"))?;
            for line in status.lines().filter(|line| line.contains("ctxt_switches")) {
                cost.switches += number(line.split(':').next_back().unwrap_or_default())?;
            }
            let ran = read(&task.path().join("schedstat"))?;
            cost.nanoseconds += number(ran.split(' ').next().unwrap_or_default())?;
        }
        let io = read(&process.join("io"))?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
        cost.written = number(written.unwrap_or_default())?;
        Ok(cost)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
