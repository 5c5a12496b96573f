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

/// The time that a queue of thirty may take to become empty in an emulated machine.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(180);

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
/// If no coordinator answers, the queue stays as it is.
pub(crate) fn clear_queue() -> Result<(), Failure> {
    let deadline = Instant::now() + CLEAR_TIMEOUT;
    while let Ok(rows) = queue() {
        if rows.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!("what is queued does not go away: {rows:?}")));
        }
        let name = |row: &Value| Some(format!("{}#{}", row["experiment"].as_str()?, row["run"]));
        let runs: Vec<String> = rows.iter().filter_map(name).collect();
        let cancel = |runs: &[String]| {
            run("bij", ["cancel"].into_iter().chain(runs.iter().map(String::as_str)))
        };
        // Several are cancelled together or not at all, and one of them may end meanwhile.
        if !cancel(&runs)?.succeeded() {
            for run in &runs {
                cancel(std::slice::from_ref(run))?;
            }
        }
    }
    if std::fs::remove_file(SETTINGS).is_ok() {
        run("bij", ["reload"])?;
    }
    Ok(())
}
