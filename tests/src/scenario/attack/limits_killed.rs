//! Hooks are killed and hang at any moment, while units run, definitions change and PID 1 reloads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::Scenario;
use super::limits::{define_sleeper, ensure_limited, start};
use crate::bij::{define_script, history, render_all, unit};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{Output, run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{queue, set_coordinator};

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[Scenario {
    time_limit: Duration::from_secs(300),
    ..Scenario::new("attack_limits_outlive_killed_hooks", Lane::ALL, outlive_killed_hooks)
}];

/// How much of everything there is, by the speed of the machine.
struct Load {
    /// How many hooks are killed.
    rounds: u32,
    sleepers: usize,
    experiments: usize,
    runs_of_each: usize,
}

impl Load {
    fn new(guest: &Guest) -> Self {
        // An emulated machine takes ten times as long for each.
        let own = if guest.lane() == Lane::Machine { 20 } else { 6 };
        let rounds = guest.rounds(own);
        match (guest.lane(), rounds > 50) {
            (Lane::Machine, true) => {
                Self { rounds, sleepers: 40, experiments: 8, runs_of_each: 20 }
            }
            (Lane::Machine, false) => {
                Self { rounds, sleepers: 20, experiments: 4, runs_of_each: 8 }
            }
            (Lane::VmV2 | Lane::VmV1, true) => {
                Self { rounds, sleepers: 40, experiments: 4, runs_of_each: 10 }
            }
            (Lane::VmV2 | Lane::VmV1, false) => {
                Self { rounds, sleepers: 6, experiments: 2, runs_of_each: 3 }
            }
        }
    }
}

/// What runs keeps its invocation and its limits, and each acknowledged run ends by itself.
fn outlive_killed_hooks(guest: &Guest) -> Result<Next, Failure> {
    let Load { rounds, sleepers, experiments, runs_of_each } = Load::new(guest);
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    set_coordinator(&format!(
        "MAX_CONCURRENT_EXPERIMENTS={}\nTOTAL_RAM_LIMIT_GB=64\n",
        sleepers + 4
    ))?;
    let sleepers: Vec<String> = (0..sleepers).map(|n| format!("killed_sleeper_{n}")).collect();
    for id in &sleepers {
        define_sleeper(id)?;
    }
    render_all()?;
    let invocations: BTreeMap<&String, String> =
        sleepers.iter().map(|id| Ok((id, start(id)?))).collect::<Result<_, Failure>>()?;
    let ids: Vec<String> = (0..experiments).map(|n| format!("killed_run_{n}")).collect();
    let edit = |round: u32| ids.iter().try_for_each(|id| edited(id, round));
    edit(0)?;
    let mut acknowledged: BTreeSet<(&String, u64)> = BTreeSet::new();
    for id in ids.iter().cycle().take(experiments * runs_of_each) {
        let output = run("bij", ["--json", "submit", id])?.success()?;
        let number = output.json()?[0]["run"].as_u64();
        let number = number.ok_or_else(|| output.unexpected("the run's number"))?;
        acknowledged.insert((id, number));
    }
    let (mut killed, mut hung) = (0_u32, 0_u32);
    for round in 1..=rounds {
        edit(round)?;
        run("systemctl", ["daemon-reload"])?.success()?;
        // Times that have nothing to do with one another, as long as a start takes.
        let moment = guest.patience(Duration::from_micros(u64::from(round) * 7_919 % 60_000));
        if let Some(hook) = next_hook(guest) {
            thread::sleep(moment);
            if round % 5 == 0 {
                hung += u32::from(signal("STOP", &hook)?);
                thread::sleep(Duration::from_secs(1));
            }
            killed += u32::from(signal("KILL", &hook)?);
        }
        if round % 10 == 0 {
            for (id, invocation) in &invocations {
                ensure_limited(guest, id, invocation, &format!("{round} killed hooks"))?;
            }
        }
    }
    ensure!(killed > 0, "every hook was faster than its killer");
    wait_for_ends(guest, &sleepers, &ids)?;
    let mut other_ends = 0;
    for id in &ids {
        let rows = history(id)?;
        for (_, number) in acknowledged.iter().filter(|(own, _)| *own == id) {
            let of_run: Vec<&Value> = rows.iter().filter(|row| row["run"] == *number).collect();
            let last = of_run.last().ok_or_else(|| {
                Failure::new(format!("{id}#{number} was acknowledged and has no attempt"))
            })?;
            ensure_eq!(last["cause"], "success", "the end of {id}#{number}");
            other_ends += of_run.len() - 1;
        }
    }
    for (id, invocation) in &invocations {
        ensure_limited(guest, id, invocation, "all of it")?;
    }
    guest.tell(format!(
        "{rounds} rounds over {} running experiments: {killed} hooks killed, {hung} of them after they \
         hung; {} acknowledged runs, all ended by themselves, after {other_ends} attempts that a killed \
         hook ended",
        invocations.len(),
        acknowledged.len()
    ));
    Ok(Next::Done)
}

/// Puts another definition in place, whole, so that the next start renders.
fn edited(id: &str, round: u32) -> Result<(), Failure> {
    let aside = format!("{id}.aside");
    define_script(
        &aside,
        "sleep 0.2",
        &format!("limits.tasks = {}\n[restart]\nburst = 100\ndelay = \"0\"\n", 100 + round),
    )?;
    let folder = Path::new("/etc/brain-in-jar/experiments");
    let (from, to) = (format!("{aside}.toml"), format!("{id}.toml"));
    fs::rename(folder.join(from), folder.join(to)).map_err(Failure::from)
}

/// Waits a while for a hook that is at work and returns its process.
fn next_hook(guest: &Guest) -> Option<String> {
    let until = Instant::now() + guest.patience(Duration::from_secs(3));
    while Instant::now() < until {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let hook = processes.map(|entry| entry.path()).find(|path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "bij-hook")
        });
        if let Some(name) = hook.as_deref().and_then(Path::file_name) {
            return Some(name.to_string_lossy().into_owned());
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Sends a signal; returns whether the process was still there.
fn signal(name: &str, process: &str) -> Result<bool, Failure> {
    run("kill", ["-s", name, process]).map(|output: Output| output.succeeded())
}

/// Waits until nothing but the sleepers is in the queue. A run that the coordinator holds because its
/// starts were killed too often is let go, as its reason says.
fn wait_for_ends(guest: &Guest, sleepers: &[String], ids: &[String]) -> Result<(), Failure> {
    guest.wait_for("the end of every run", Duration::from_secs(240), || {
        let queue = queue()?;
        let left: Vec<&Value> = queue
            .iter()
            .filter(|row| row["experiment"].as_str().is_none_or(|id| !is_one_of(id, sleepers)))
            .collect();
        for row in left.iter().filter(|row| row["state"] == "held") {
            let id = row["experiment"].as_str().unwrap_or_default();
            run("bij", ["release", &format!("{id}#{}", row["run"])])?.success()?;
        }
        if left.is_empty() {
            return Ok(Some(()));
        }
        let units = ids.iter().map(|id| unit(id)).collect::<Vec<_>>().join(" ");
        let states = sh(&format!("systemctl is-active {units} || true"))?;
        Err(Failure::new(format!(
            "{} are left, the first is {}; their units are {}",
            left.len(),
            left[0],
            states.stdout().replace('\n', " ")
        )))
    })
}

fn is_one_of(id: &str, ids: &[String]) -> bool {
    ids.iter().any(|one| one == id)
}
