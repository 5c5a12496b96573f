//! The queue as a scenario sees it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::check::Failure;
use crate::command::run;
use crate::steps::write;

/// The settings under the older tool's names: stronger than `coordinator.toml`, and not part of the
/// package, so that a scenario can have them for itself.
const SETTINGS: &str = "/etc/brain-in-jar/coordinator.env";

/// Sets what the coordinator keeps to, until the scenario is over.
pub(crate) fn set_coordinator(env: &str) -> Result<(), Failure> {
    write(Path::new(SETTINGS), env)?;
    run("bij", ["reload"])?.success().map(drop)
}

/// `bij --json queue`.
pub(crate) fn queue() -> Result<Vec<Value>, Failure> {
    let output = run("bij", ["--json", "queue"])?.success()?;
    match output.json()? {
        Value::Array(rows) => Ok(rows),
        _ => Err(output.unexpected("an array")),
    }
}

/// `bij --json why RUN`.
pub(crate) fn why(run_or_id: &str) -> Result<Value, Failure> {
    run("bij", ["--json", "why", run_or_id])?.success()?.json()
}

/// Empties the queue, stops what is up, and has the package's own settings in force again.
///
/// Where no coordinator answers there is nothing to be done: what is queued stays so.
pub(crate) fn clear_queue() -> Result<(), Failure> {
    let patience_ends = Instant::now() + Duration::from_secs(60);
    // Nobody is asked where nobody answers.
    while let Ok(rows) = queue() {
        if rows.is_empty() {
            break;
        }
        if Instant::now() > patience_ends {
            return Err(Failure::new(format!("what is queued does not go away: {rows:?}")));
        }
        // Each by itself: one that ends meanwhile keeps none of the others.
        for row in &rows {
            if let Some(id) = row["experiment"].as_str() {
                run("bij", ["cancel", &format!("{id}#{}", row["run"])])?;
            }
        }
    }
    if std::fs::remove_file(SETTINGS).is_ok() {
        run("bij", ["reload"])?;
    }
    Ok(())
}
