//! The client of systemd with units that have nothing to do with bij.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::Scenario;
use crate::check::{Failure, ensure};
use crate::command::{run_for, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

/// They fill memory and re-execute systemd, so they run behind those that judge waiting runs.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: TIME_LIMIT,
        ..Scenario::new("any_unit_is_managed", Lane::ALL, any_unit_is_managed)
    },
    Scenario {
        time_limit: TIME_LIMIT,
        ..Scenario::new("any_unit_examples_run", Lane::ALL, examples_of_any_unit_run)
    },
];

const TIME_LIMIT: Duration = Duration::from_secs(300);

/// The tests of bij-systemd's client for units that have nothing to do with bij.
fn any_unit_is_managed(_: &Guest) -> Result<Next, Failure> {
    let tests =
        run_for(TIME_LIMIT, "/usr/lib/bij-lab/any-unit", ["--ignored", "--test-threads=1"])?;
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
        run_for(TIME_LIMIT, limited, stress)?.says("cause: oom-kill")?;
    }
    let good = ["good.service", "48M", "/bin/true"];
    run_for(TIME_LIMIT, limited, good)?.success()?.says("cause: success")?;
    let name = ["a/b.service", "48M", "/bin/true"];
    run_for(TIME_LIMIT, limited, name)?.says("which no unit's name may have")?;

    let watch = "timeout 6 /usr/lib/bij-lab/watch-unit systemd-logind.service & sleep 2; \
        systemctl restart systemd-logind.service; sleep 1; systemctl daemon-reexec; wait";
    let output = sh(watch)?;
    let is_up = |line: &&str| line.starts_with("systemd-logind.service: active (running), main");
    let processes: BTreeSet<&str> = output.stdout().lines().filter(is_up).collect();
    ensure!(processes.len() >= 2, "the restart was not seen: {output:?}");
    Ok(Next::Done)
}
