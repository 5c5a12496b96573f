//! Runs a plan's scenarios in order, across restarts of the machine and of the agent itself.
//!
//! What is under way is written to disk before it begins. An agent that finds a scenario under way which
//! did not ask for a restart knows that the machine (or the agent) died in the middle, reports that as
//! the scenario's failure, and goes on with the next one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::Failure;
use crate::command::{run, run_for};
use crate::guest::{Guest, LAB_STATE, Next};
use crate::protocol::{Lane, Message, PLAN_PATH, Plan, RESULTS_DIRECTORY, RESULTS_PORT, Restart};
use crate::scenario::{self, Scenario};
use crate::steps::clear_away;

/// Why the agent could not do its work at all. A scenario that fails is not among it.
#[derive(Debug)]
pub struct AgentError {
    doing: &'static str,
    source: io::Error,
}

impl std::fmt::Display for AgentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.doing)
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

fn while_doing<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> AgentError {
    move |error| AgentError { doing, source: error.into() }
}

/// How far the plan is, on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    boot: u32,
    boot_id: String,
    /// Index into the plan's scenarios.
    next: usize,
    under_way: Option<UnderWay>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct UnderWay {
    phase: u32,
    restart_wanted: bool,
}

impl Progress {
    fn load() -> Result<Self, AgentError> {
        match fs::read(Path::new(LAB_STATE).join("progress.json")) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(while_doing("reading the agent's progress"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(while_doing("reading the agent's progress")(error)),
        }
    }

    /// Writes the progress so that it survives a power cut in the next instant.
    fn save(&self) -> Result<(), AgentError> {
        let doing = "saving the agent's progress";
        let directory = Path::new(LAB_STATE);
        let temporary = directory.join("progress.json.new");
        let write = || -> io::Result<()> {
            fs::create_dir_all(directory)?;
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&temporary, directory.join("progress.json"))?;
            File::open(directory)?.sync_all()
        };
        write().map_err(while_doing(doing))
    }
}

/// The results port, open for appending.
struct Port(File);

impl Port {
    fn open() -> Result<Self, AgentError> {
        let shared = Path::new(RESULTS_DIRECTORY);
        let file = if shared.is_dir() {
            OpenOptions::new().create(true).append(true).open(shared.join("results"))
        } else {
            OpenOptions::new().write(true).open(RESULTS_PORT)
        };
        file.map(Self).map_err(while_doing("opening the results port"))
    }

    fn send(&mut self, message: &Message) -> Result<(), AgentError> {
        writeln!(self.0, "{message}")
            .and_then(|()| self.0.flush())
            .map_err(while_doing("writing to the results port"))
    }
}

/// Reads the plan and works through it. Returns when the machine is about to restart, or when all is
/// done and reported.
///
/// # Errors
///
/// When the plan, the results port or the agent's own state cannot be used.
pub fn serve() -> Result<(), AgentError> {
    let plan: Plan = fs::read(PLAN_PATH)
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from))
        .map_err(while_doing("reading the plan"))?;
    let mut port = Port::open()?;
    let mut progress = Progress::load()?;
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_err(while_doing("reading the boot id"))?;
    let restarted = progress.boot_id != boot_id;
    if restarted {
        progress.boot += 1;
        progress.boot_id = boot_id;
    }
    wait_until_running(&plan);
    port.send(&Message::Hello { boot: progress.boot, systemd: systemd_version() })?;
    while let Some(name) = plan.scenarios.get(progress.next) {
        let phase = match progress.under_way {
            None => 0,
            Some(UnderWay { phase, restart_wanted: true }) if restarted => phase,
            Some(_) => {
                progress.next += 1;
                progress.under_way = None;
                progress.save()?;
                let reason = "the machine or the agent died in the middle of it".to_owned();
                port.send(&Message::Failed { scenario: name.clone(), reason })?;
                continue;
            }
        };
        if let Some(how) = carry_on(&plan, name, phase, &mut progress, &mut port)? {
            return go_down(plan.lane, how, &mut port);
        }
    }
    port.send(&Message::Finished)
}

/// Runs one phase of one scenario and reports; a restart that it wants is returned.
fn carry_on(
    plan: &Plan,
    name: &str,
    phase: u32,
    progress: &mut Progress,
    port: &mut Port,
) -> Result<Option<Restart>, AgentError> {
    progress.under_way = Some(UnderWay { phase, restart_wanted: false });
    progress.save()?;
    port.send(&Message::Started { scenario: name.to_owned() })?;
    let since = journal_cursor();
    let guest = Guest::new(plan, name, phase);
    let verdict = scenario::find(name)
        .ok_or_else(|| Failure::new("the agent knows no scenario of this name"))
        .and_then(|Scenario { run, .. }| run(&guest));
    for text in guest.take_messages() {
        port.send(&Message::Told { scenario: name.to_owned(), text })?;
    }
    let restart = match verdict {
        Ok(Next::Reboot) => Some(Restart::Reboot),
        Ok(Next::PowerCut) => Some(Restart::PowerCut),
        Ok(Next::Done) | Err(_) => None,
    };
    if restart.is_some() {
        progress.under_way = Some(UnderWay { phase: phase + 1, restart_wanted: true });
        progress.save()?;
        return Ok(restart);
    }
    // Read before the traces are gone.
    let journal = if verdict.is_err() { journal_since(&since) } else { String::new() };
    let cleared = clear_away();
    progress.next += 1;
    progress.under_way = None;
    progress.save()?;
    let scenario = name.to_owned();
    port.send(&match verdict.and(cleared) {
        Ok(()) => Message::Passed { scenario },
        Err(failure) => Message::Failed { scenario, reason: format!("{failure}{journal}") },
    })?;
    Ok(None)
}

/// Waits for the end of the boot. Whether it ended well is for a scenario to judge.
fn wait_until_running(plan: &Plan) {
    let patience = Duration::from_secs(60) * plan.slowness;
    // Degraded and the like end with a failure code, and a time-out is seen by the boot scenario.
    drop(run_for(patience, "systemctl", ["is-system-running", "--wait"]));
}

/// Where the journal ends now.
fn journal_cursor() -> String {
    run("journalctl", ["-n", "1", "-o", "cat", "--show-cursor", "--no-pager"])
        .ok()
        .and_then(|output| {
            output
                .stdout()
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("-- cursor: ").map(str::to_owned))
        })
        .unwrap_or_default()
}

/// What the units of experiments have said since, for a report.
fn journal_since(cursor: &str) -> String {
    let cursor = format!("--after-cursor={cursor}");
    let ours = ["-n", "30", "--no-pager", "-u", "brain-experiment*"];
    run("journalctl", [cursor.as_str()].into_iter().chain(ours))
        .map(|output| format!("\n--- journal\n{}", output.stdout().trim_end()))
        .unwrap_or_default()
}

fn systemd_version() -> String {
    run("systemctl", ["--version"])
        .ok()
        .and_then(|output| output.stdout().lines().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Asks for the restart. Whoever cuts the power is the host, upon the message; a container cannot
/// reboot into the host's hands, so it powers off.
fn go_down(lane: Lane, how: Restart, port: &mut Port) -> Result<(), AgentError> {
    port.send(&Message::Restart { how })?;
    if how == Restart::Reboot {
        let verb = if lane == Lane::Machine { "poweroff" } else { "reboot" };
        run("systemctl", [verb]).and_then(crate::Output::success).map_err(|failure| {
            AgentError { doing: "restarting the machine", source: io::Error::other(failure) }
        })?;
    }
    Ok(())
}
