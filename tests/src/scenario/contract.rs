//! The adapter is judged by the suite that judges its model.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::Scenario;
use crate::check::{Failure, ensure};
use crate::command::{run_for, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: PATIENCE,
        ..Scenario::new("contract_of_unit_managers_is_kept", Lane::CONTAINER, is_kept)
    },
    Scenario {
        time_limit: PATIENCE,
        ..Scenario::new("any_unit_is_managed", Lane::ALL, any_unit_is_managed)
    },
    Scenario {
        time_limit: PATIENCE,
        ..Scenario::new("examples_of_any_unit_run", Lane::ALL, examples_of_any_unit_run)
    },
];

const PATIENCE: Duration = Duration::from_secs(180);

/// The tests of bij-systemd's client for units that have nothing to do with bij.
fn any_unit_is_managed(_: &Guest) -> Result<Next, Failure> {
    let tests = run_for(PATIENCE, "/usr/lib/bij-lab/any-unit", ["--ignored", "--test-threads=1"])?;
    tests.success()?.says("9 passed")?;
    Ok(Next::Done)
}

/// The example programs of bij-systemd, with units that have nothing to do with bij.
fn examples_of_any_unit_run(_: &Guest) -> Result<Next, Failure> {
    let limited = "/usr/lib/bij-lab/limited-service";
    // A container with cgroup v1 may swap, and does not see the kernel's log.
    let sees_kernel = !Path::new("/run/systemd/container").exists();
    if sees_kernel || Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        let stress = ["stress.service", "48M", "/usr/bin/tail", "/dev/zero"];
        run_for(PATIENCE, limited, stress)?.says("cause: oom-kill")?;
    }
    let good = ["good.service", "48M", "/bin/true"];
    run_for(PATIENCE, limited, good)?.success()?.says("cause: success")?;
    let name = ["a/b.service", "48M", "/bin/true"];
    run_for(PATIENCE, limited, name)?.says("which no unit's name may have")?;

    let watch = "timeout 6 /usr/lib/bij-lab/watch-unit systemd-logind.service & sleep 2; \
        systemctl restart systemd-logind.service; sleep 1; systemctl daemon-reexec; wait";
    let output = sh(watch)?;
    let is_up = |line: &&str| line.starts_with("systemd-logind.service: active (running), main");
    let processes: BTreeSet<&str> = output.stdout().lines().filter(is_up).collect();
    ensure!(processes.len() >= 2, "the restart was not seen: {output:?}");
    Ok(Next::Done)
}

/// The tests of bij-systemd's units of experiments that need a systemd as PID 1. They bring a template of their own.
fn is_kept(_: &Guest) -> Result<Next, Failure> {
    let outcome =
        run_for(PATIENCE, "/usr/lib/bij-lab/real-systemd", ["--ignored", "--test-threads=1"]);
    sh("rm -f /etc/systemd/system/brain-experiment@.service \
        /run/systemd/system/brain-experiment.target; systemctl daemon-reload")?
    .success()?;
    outcome?.success()?.says("8 passed")?;
    Ok(Next::Done)
}
