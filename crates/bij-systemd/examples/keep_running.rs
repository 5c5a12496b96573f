//! Starts an experiment and prints its state until it has ended: how another program uses systemd
//! through bij's port. `cargo run --example keep_running -- amnesiac_001 [--user]`

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use bij_core::port::{Started, UnitManager};
use bij_core::{ExperimentId, UnitStatus};
use bij_systemd::RuntimeScope;
use bij_systemd::experiment::SystemdUnits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let id: ExperimentId = arguments.next().ok_or("which experiment?")?.parse()?;
    let scope = match arguments.next().as_deref() {
        Some("--user") => RuntimeScope::User,
        _ => RuntimeScope::System,
    };
    let units = SystemdUnits::connect(scope).await?;
    keep_running(&units, &id, &mut std::io::stdout()).await
}

/// Starts and follows an experiment. It uses only the port, so it also works with `bij_sim::SimUnits`.
async fn keep_running(
    units: &impl UnitManager,
    id: &ExperimentId,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    match units.start(id).await? {
        Started::Up => writeln!(out, "{id} is up")?,
        Started::AlreadyUp => writeln!(out, "{id} was up already")?,
        Started::Skipped => return Ok(writeln!(out, "{id} may not start now")?),
    }
    loop {
        let UnitStatus { active_state, sub_state, restarts, resources, .. } =
            units.status(id).await?;
        let memory = resources.memory_current.map_or("?".to_owned(), |bytes| bytes.to_string());
        let restarts = restarts.unwrap_or_default();
        writeln!(out, "{active_state} ({sub_state}), {memory}, {restarts} restarts")?;
        if active_state.is_down() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
