//! The client of systemd with units that have nothing to do with bij.

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

    let output = sh("
        watched=/run/lab-watched
        /usr/lib/bij-lab/watch-unit systemd-logind.service >$watched & watcher=$!
        processes() { grep -o 'active (running), main process [0-9]*' $watched | sort -u | wc -l; }
        wait_for() { i=0; until [ $(processes) -ge $1 ] || [ $i -ge 200 ]; do sleep 0.2; i=$((i + 1)); done; }
        wait_for 1
        systemctl daemon-reexec
        systemctl restart systemd-logind.service
        wait_for 2
        kill $watcher
        processes")?;
    ensure!(output.stdout().trim() == "2", "the restart was not seen: {output:?}");
    Ok(Next::Done)
}
