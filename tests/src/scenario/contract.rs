//! The adapter is judged by the suite that judges its model.

use std::time::Duration;

use super::Scenario;
use crate::check::Failure;
use crate::command::{run_for, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    time_limit: PATIENCE,
    ..Scenario::new("contract_of_unit_managers_is_kept", Lane::CONTAINER, is_kept)
}];

const PATIENCE: Duration = Duration::from_secs(180);

/// The tests of bij-systemd that need a systemd as PID 1. They bring a template of their own.
fn is_kept(_: &Guest) -> Result<Next, Failure> {
    let outcome =
        run_for(PATIENCE, "/usr/lib/bij-lab/real-systemd", ["--ignored", "--test-threads=1"]);
    sh("rm -f /etc/systemd/system/brain-experiment@.service \
        /run/systemd/system/brain-experiment.target; systemctl daemon-reload")?
    .success()?;
    outcome?.success()?.says("8 passed")?;
    Ok(Next::Done)
}
