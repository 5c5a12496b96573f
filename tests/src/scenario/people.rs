//! Without root: one's own experiments under one's own `systemd --user`.

use super::Scenario;
use crate::bij::SOON;
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{Output, run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::queue;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("people_run_their_own", Lane::CONTAINER, run_their_own),
    Scenario::new("people_queue_their_own", Lane::CONTAINER, queue_their_own),
    Scenario::new("people_log_out", Lane::CONTAINER, log_out),
];

/// Runs a command as the researcher, within her own manager's environment.
fn as_researcher(command: &str) -> Result<Output, Failure> {
    run(
        "runuser",
        [
            "-u",
            "researcher",
            "--",
            "sh",
            "-euc",
            &format!(
                "export XDG_RUNTIME_DIR=/run/user/$(id -u) HOME=/home/researcher; cd; {command}"
            ),
        ],
    )
}

/// Gives her a manager that runs without a session of hers.
fn hire_researcher(guest: &Guest) -> Result<(), Failure> {
    sh("id researcher >/dev/null 2>&1 || useradd --create-home researcher
        loginctl enable-linger researcher")?
    .success()?;
    guest.wait_for("her manager", SOON, || {
        let output = as_researcher("systemctl --user is-system-running --wait")?;
        Ok(output.succeeded().then_some(()))
    })
}

/// Her own coordinator lets in one at a time, and outlives a kill; the system's knows nothing of it.
fn queue_their_own(guest: &Guest) -> Result<Next, Failure> {
    hire_researcher(guest)?;
    as_researcher(
        "mkdir -p .config/brain-in-jar/experiments
         echo MAX_CONCURRENT_EXPERIMENTS=1 >.config/brain-in-jar/coordinator.env
         for id in first second; do
             echo 'command = [\"sleep\", \"600\"]' >.config/brain-in-jar/experiments/$id.toml
         done
         systemctl --user start brain-experiment-coordinator
         bij --user submit first second",
    )?
    .success()?;
    let is_active = |id: &str| {
        let command = format!("systemctl --user is-active brain-experiment@{id}");
        guest.wait_for(id, SOON, || Ok(as_researcher(&command)?.succeeded().then_some(())))
    };
    is_active("first")?;
    let why = as_researcher("bij --user --json why second")?.success()?.json()?;
    ensure_eq!(why["waiting_on"][0]["gate"], "slots", "what the second waits for in {why}");
    ensure!(queue()?.is_empty(), "hers stand in the system's queue");
    as_researcher("systemctl --user kill --signal=KILL brain-experiment-coordinator")?.success()?;
    as_researcher("systemctl --user stop brain-experiment@first")?.success()?;
    is_active("second")?;
    as_researcher("systemctl --user stop brain-experiment@second brain-experiment-coordinator")?
        .success()?;
    Ok(Next::Done)
}

fn run_their_own(guest: &Guest) -> Result<Next, Failure> {
    hire_researcher(guest)?;
    as_researcher(
        "mkdir -p .config/brain-in-jar/experiments
         cat >.config/brain-in-jar/experiments/mine.toml <<'END'
command = [\"/bin/sh\", \"-c\", \"[ $BIJ_ATTEMPT = 1 ] && exit 9; echo lives again; exec sleep 600\"]
[restart]
delay = \"100ms\"
END
         bij --user start mine",
    )?;
    guest.wait_for("her second attempt", SOON, || {
        let output = as_researcher("bij --user --json history mine")?.success()?;
        let rows = output.json()?;
        let came_back = rows[0]["cause"] == "exit" && rows[1]["cause"].is_null();
        if came_back && rows[1].is_object() {
            return Ok(Some(()));
        }
        Err(output.unexpected("one crash and an attempt that runs"))
    })?;
    as_researcher("systemctl --user stop brain-experiment@mine")?.success()?;
    as_researcher("systemctl --user is-active brain-experiment@mine")?.code(3)?;
    as_researcher("bij --user --json status mine")?;
    Ok(Next::Done)
}

/// Without lingering her manager stops with her last session. Each command that starts something says so;
/// what ended with the manager is no reboot, and what is enabled comes back with it.
fn log_out(guest: &Guest) -> Result<Next, Failure> {
    hire_researcher(guest)?;
    let uid = run("id", ["-u", "researcher"])?.success()?.stdout().trim().to_owned();
    let manager = format!("user@{uid}.service");
    sh("loginctl disable-linger researcher")?.success()?;
    run("systemctl", ["start", &manager])?.success()?;
    as_researcher(
        "mkdir -p .config/brain-in-jar/experiments
         echo 'command = [\"sleep\", \"600\"]' >.config/brain-in-jar/experiments/night.toml
         rm -f .config/brain-in-jar/coordinator.env",
    )?
    .success()?;
    for command in ["bij --user start night", "bij --user enable night"] {
        as_researcher(command)?.success()?.says("loginctl enable-linger")?;
    }
    run("systemctl", ["stop", &manager])?.success()?;
    run("systemctl", ["start", &manager])?.success()?;
    guest.wait_for("the experiment that is enabled", SOON, || {
        let output = as_researcher("systemctl --user is-active brain-experiment@night")?;
        Ok(output.succeeded().then_some(()))
    })?;
    let history = as_researcher("bij --user --json history night")?.success()?.json()?;
    ensure_eq!(history[0]["cause"], "manager-stop", "how the first attempt ended in {history}");
    ensure_eq!(history[1]["run"], history[0]["run"], "the run of the second attempt in {history}");
    as_researcher("bij --user disable --now night")?.success()?;
    sh("loginctl enable-linger researcher")?.success()?;
    Ok(Next::Done)
}
