//! One queue, every start through the same gates, and a coordinator that can be killed.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Scenario;
use crate::bij::{
    SOON, define_script, history, systemctl, unit, wait_for_ended, wait_for_line, wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{queue, set_coordinator, why};
use crate::steps::{property, write};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("coordinator_is_up_and_hardened", Lane::ALL, is_up_and_hardened),
    Scenario::new("coordinator_is_a_unit_like_any", Lane::CONTAINER, is_a_unit_like_any),
    Scenario::new("coordinator_fifth_start_waits", Lane::CONTAINER, fifth_start_waits),
    Scenario::new("coordinator_counts_claims", Lane::CONTAINER, counts_claims),
    Scenario::new("coordinator_starves_no_large_run", Lane::CONTAINER, starves_no_large_run),
    Scenario::new("coordinator_cancels_at_any_moment", Lane::CONTAINER, cancels_at_any_moment),
    Scenario::new("coordinator_refuses_strangers", Lane::CONTAINER, refuses_strangers),
    Scenario {
        time_limit: Duration::from_secs(180),
        ..Scenario::new("coordinator_thirty_at_boot", Lane::ONE_VM, thirty_at_boot)
    },
];

pub(super) const COORDINATOR: &str = "brain-experiment-coordinator.service";

/// It runs until it is stopped.
pub(super) const WAITS: &str = "exec sleep 600";

pub(super) fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}_{n}")).collect()
}

fn is_up_and_hardened(guest: &Guest) -> Result<Next, Failure> {
    guest.wait_for("the coordinator", SOON, || {
        Ok((property(COORDINATOR, "ActiveState")? == "active").then_some(()))
    })?;
    let status = property(COORDINATOR, "StatusText")?;
    ensure!(status.contains("slots are taken"), "its status is {status:?}");
    let (bus, path) = ("org.braininjar.Coordinator1", "/org/braininjar/Coordinator1");
    guest.wait_for("it on the bus", SOON, || {
        Ok(run("busctl", ["call", bus, path, bus, "Status"])?.succeeded().then_some(()))
    })?;
    if guest.systemd() >= 252 {
        let file = format!("/usr/lib/systemd/system/{COORDINATOR}");
        run("systemd-analyze", ["security", "--offline=true", "--threshold=15", &file])?
            .success()?;
    }
    Ok(Next::Done)
}

/// Where there is none, nobody queues and everything may start.
fn is_a_unit_like_any(guest: &Guest) -> Result<Next, Failure> {
    sh("systemctl status brain-experiment-coordinator")?.success()?;
    sh("systemctl disable --now brain-experiment-coordinator")?.success()?;
    let alone = start_without(guest);
    sh("systemctl enable --now brain-experiment-coordinator")?.success()?;
    sh("systemctl is-enabled brain-experiment-coordinator")?.success()?.says("enabled")?;
    alone?;
    // What began without it is found when it is there.
    let up = queue()?;
    ensure_eq!(up.len(), 5, "runs that it found up: {up:?}");
    Ok(Next::Done)
}

fn start_without(guest: &Guest) -> Result<(), Failure> {
    let ids = ids("coordinator_gone", 5);
    for id in &ids {
        define_script(id, WAITS, "")?;
        systemctl("start", id)?.success()?;
    }
    for id in &ids {
        wait_for_state(guest, id, "active")?;
    }
    Ok(())
}

fn fifth_start_waits(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=4\n")?;
    let ids = ids("coordinator_fifth", 5);
    for id in &ids {
        define_script(id, WAITS, "")?;
    }
    for id in &ids[..4] {
        systemctl("start", id)?.success()?;
    }
    let fifth = &ids[4];
    systemctl("start", fifth)?.success()?;
    ensure_eq!(property(&unit(fifth), "ActiveState")?, "inactive", "the fifth");
    wait_for_line(guest, fifth, "4 of 4 slots are taken")?;
    let run = why(fifth)?;
    ensure_eq!(run["state"], "waiting", "the fifth in {run}");
    let gate = &run["waiting_on"][0];
    ensure_eq!(gate["gate"], "slots", "what it waits for in {run}");
    ensure_eq!((&gate["need"], &gate["have"]), (&1.into(), &0.into()), "the numbers in {run}");
    systemctl("stop", &ids[0])?.success()?;
    wait_for_state(guest, fifth, "active")?;
    let rows = history(fifth)?;
    ensure_eq!(rows.len(), 1, "attempts of the fifth");
    ensure_eq!(rows[0]["run"], run["run"], "the run that began is the one that waited");
    Ok(Next::Done)
}

fn counts_claims(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=9\nTOTAL_RAM_LIMIT_GB=1\n")?;
    let ids = ids("coordinator_claims", 3);
    for id in &ids {
        define_script(id, WAITS, "[limits]\nmemory = \"400M\"")?;
        run("bij", ["submit", id])?.success()?;
    }
    for id in &ids[..2] {
        wait_for_state(guest, id, "active")?;
    }
    let third = why(&ids[2])?;
    let gate = &third["waiting_on"][0];
    ensure_eq!(gate["gate"], "memory", "what the third waits for in {third}");
    ensure_eq!(gate["need"], 400_u64 << 20, "what it claims in {third}");
    ensure_eq!(gate["have"], 224_u64 << 20, "what is left in {third}");
    run("bij", ["cancel", &ids[0]])?.success()?;
    wait_for_state(guest, &ids[2], "active")?;
    ensure_eq!(property(&unit(&ids[1]), "ActiveState")?, "active", "the one that was left alone");
    Ok(Next::Done)
}

/// Small ones come without end, and each that fits passes the large one; after so many the machine is
/// kept for it.
fn starves_no_large_run(guest: &Guest) -> Result<Next, Failure> {
    const PASSES: usize = 4;
    let path = Path::new("/etc/brain-in-jar/coordinator.toml");
    let packaged = std::fs::read_to_string(path).unwrap_or_default();
    let result = with_a_stream(guest, path, PASSES);
    write(path, &packaged)?;
    run("bij", ["reload"])?.success()?;
    result
}

fn with_a_stream(guest: &Guest, settings: &Path, passes: usize) -> Result<Next, Failure> {
    let bound = format!(
        "[coordinator]\nmax_concurrent = 9\ntotal_memory = \"1G\"\nmax_bypass = {passes}\n"
    );
    write(settings, &bound)?;
    set_coordinator("")?;
    let (small, large) = (ids("coordinator_small", 24), "coordinator_large");
    for id in &small {
        define_script(id, "sleep 0.5", "[limits]\nmemory = \"300M\"")?;
    }
    define_script(large, "true", "[limits]\nmemory = \"900M\"")?;
    let (before, after) = small.split_at(3);
    let submit = |ids: &[String]| {
        run("bij", ["submit"].into_iter().chain(ids.iter().map(String::as_str)))?.success()
    };
    submit(before)?;
    wait_for_state(guest, &before[2], "active")?;
    run("bij", ["submit", large])?.success()?;
    submit(after)?;
    wait_for_ended(guest, large, 1)?;
    let rows = attempts(&small)?;
    let begun = attempts(&[large.to_owned()])?[0]["started"].clone();
    // Times have one format: their order is that of the texts.
    let earlier = rows.iter().filter(|row| row["started"].as_str() < begun.as_str()).count();
    ensure!(earlier <= before.len() + passes, "{earlier} small ones went before the large one");
    ensure!(!queue()?.is_empty(), "the stream has run dry: nothing was shown");
    Ok(Next::Done)
}

/// One that is just on its way up is cancelled when it is there.
fn cancels_at_any_moment(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=12\n")?;
    let ids = ids("coordinator_cancelled", 12);
    for id in &ids {
        define_script(id, WAITS, "")?;
    }
    run("bij", ["submit"].into_iter().chain(ids.iter().map(String::as_str)))?.success()?;
    for id in &ids {
        run("bij", ["cancel", id])?.success()?;
    }
    guest.wait_for("the end of all", SOON, || {
        let up = "systemctl list-units --plain --no-legend 'brain-experiment@coordinator_cancel*'";
        let is_over = queue()?.is_empty() && sh(up)?.success()?.stdout().is_empty();
        Ok(is_over.then_some(()))
    })?;
    Ok(Next::Done)
}

fn refuses_strangers(_: &Guest) -> Result<Next, Failure> {
    define_script("coordinator_mine", "true", "")?;
    let as_nobody = |command: &str| run("runuser", ["-u", "nobody", "--", "sh", "-c", command]);
    as_nobody("bij --json queue")?.success()?.json()?;
    let refused = as_nobody("bij submit coordinator_mine")?;
    ensure!(!refused.succeeded(), "a stranger could submit");
    refused.says("usermod -aG bij nobody")?;
    ensure!(queue()?.is_empty(), "it stands in the queue all the same");
    Ok(Next::Done)
}

/// Thirty are enabled and four may run: never more do, and all of them come to their end.
fn thirty_at_boot(guest: &Guest) -> Result<Next, Failure> {
    let ids = ids("coordinator_boot", 30);
    if guest.phase() == 0 {
        set_coordinator("MAX_CONCURRENT_EXPERIMENTS=4\n")?;
        for id in &ids {
            define_script(id, "sleep 1", "")?;
        }
        let units: Vec<String> = ids.iter().map(|id| unit(id)).collect();
        let enable = ["enable"].into_iter().chain(units.iter().map(String::as_str));
        run("systemctl", enable)?.success()?;
        return Ok(Next::Reboot);
    }
    guest.wait_for("the end of all thirty", Duration::from_secs(60), || {
        let ended = attempts(&ids)?.iter().filter(|row| row["cause"] == "success").count();
        if ended == ids.len() {
            return Ok(Some(()));
        }
        Err(Failure::new(format!("{ended} have ended, {} wait", queue()?.len())))
    })?;
    let rows = attempts(&ids)?;
    ensure_eq!(rows.len(), ids.len(), "attempts of all thirty");
    let most = most_at_once(&rows)?;
    ensure!(most <= 4, "{most} ran at the same time");
    guest.tell(format!("thirty at boot: {most} at the same time at most"));
    let failed = run("systemctl", ["list-units", "--failed", "--plain", "--no-legend"])?;
    ensure!(!failed.stdout().contains("brain-experiment@"), "{}", failed.stdout());
    ensure!(queue()?.is_empty(), "some are still queued");
    Ok(Next::Done)
}

/// All attempts of these experiments.
pub(super) fn attempts(ids: &[String]) -> Result<Vec<Value>, Failure> {
    let args = ["--json", "history"].into_iter().chain(ids.iter().map(String::as_str));
    let output = run("bij", args)?.success()?;
    match output.json()? {
        Value::Array(rows) => Ok(rows),
        _ => Err(output.unexpected("an array")),
    }
}

/// How many of these attempts lived at the same time at most. Their times have one format, so that
/// their order is that of the texts.
fn most_at_once(rows: &[Value]) -> Result<usize, Failure> {
    let mut turns = Vec::new();
    for row in rows {
        let time = |key: &str| {
            let text = row[key].as_str().map(ToOwned::to_owned);
            text.ok_or_else(|| Failure::new(format!("no {key} in {row}")))
        };
        // Who ends at the moment at which another begins has made room for it.
        turns.push((time("ended")?, false));
        turns.push((time("started")?, true));
    }
    turns.sort();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in turns {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    Ok(most)
}
