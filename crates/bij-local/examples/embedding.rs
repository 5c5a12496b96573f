//! A program that supervises experiments itself.
//!
//! `cargo run -p bij-local --example embedding -- DIR ID…` runs the experiments that
//! `DIR/etc/brain-in-jar/experiments` defines, to their ends.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use bij_core::{ExperimentId, Layout};
use bij_definition::Definitions;
use bij_local::{Options, ShimCommand, SupervisionEnd, Supervisor, SupervisorEvent, shim};
use bij_store::RobustLedger;

/// The hidden subcommand by which the supervisor starts this program again.
const SHIM: &str = "__shim";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        // Before anything else: the shim becomes the experiment.
        [first] if first == SHIM => Ok(shim::main()),
        [directory, ids @ ..] => supervise(Path::new(directory), ids),
        [] => Err("give a directory and the ids of experiments".into()),
    }
}

#[tokio::main]
async fn supervise(directory: &Path, ids: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let layout = Layout::system(directory);
    let ids = ids.iter().map(|id| id.parse()).collect::<Result<Vec<ExperimentId>, _>>()?;
    let supervisor = Supervisor::new(
        layout.clone(),
        RobustLedger::at(&layout),
        Definitions::new(layout),
        ShimCommand::current_program([SHIM]),
        Options::default(),
    )?;
    let mut events = supervisor.run(&ids)?;
    let (mut out, mut failed) = (std::io::stdout(), false);
    while let Some(event) = events.next().await {
        match event {
            SupervisorEvent::Output(line) => writeln!(out, "{}: {}", line.experiment, line.text)?,
            SupervisorEvent::Ended { id, ending } => {
                failed |= ending != SupervisionEnd::Success;
                writeln!(out, "{id}: {ending:?}")?;
            }
            _ => {}
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
