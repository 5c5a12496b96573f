//! Without root: one's own experiments under one's own `systemd --user`.

use super::Scenario;
use crate::bij::SOON;
use crate::check::Failure;
use crate::command::{Output, run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

pub(super) const SCENARIOS: &[Scenario] =
    &[Scenario::new("people_run_their_own", Lane::CONTAINER, run_their_own)];

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

fn run_their_own(guest: &Guest) -> Result<Next, Failure> {
    sh("id researcher >/dev/null 2>&1 || useradd --create-home researcher
        loginctl enable-linger researcher")?
    .success()?;
    guest.wait_for("her manager", SOON, || {
        let output = as_researcher("systemctl --user is-system-running --wait")?;
        Ok(output.succeeded().then_some(()))
    })?;
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
