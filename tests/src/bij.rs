//! Experiments as a scenario sees them: definitions in, `bij --json` and `systemctl` out.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::check::{Failure, ensure_eq};
use crate::command::{Output, run};
use crate::guest::Guest;
use crate::steps::{define, property, write};

/// How long, at native speed, a scenario waits for something that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// The unit of an experiment.
pub(crate) fn unit(id: &str) -> String {
    format!("brain-experiment@{id}.service")
}

/// Writes a definition with this command and, below it, these further lines.
///
/// A JSON string is a TOML basic string (but for DEL), so that any argument can be written.
pub(crate) fn define_command(id: &str, command: &[&str], rest: &str) -> Result<(), Failure> {
    let command = serde_json::to_string(command)?.replace('\u{7f}', "\\u007f");
    define(id, &format!("description = \"stand-in\"\ncommand = {command}\n{rest}\n"))
}

/// Writes a definition whose command is a shell script, and these further lines.
pub(crate) fn define_script(id: &str, script: &str, rest: &str) -> Result<(), Failure> {
    define_command(id, &["/bin/sh", "-c", script], rest)
}

/// Has every new definition rendered and loaded, as a boot does; for scenarios that count starts.
///
/// Otherwise the first start reloads in its midst, and systemd, which does not carry its start limit
/// over a reload, forgets that start: there is one more than `burst`.
pub(crate) fn render_all() -> Result<(), Failure> {
    run("systemctl", ["restart", "brain-experiment-boot.service"])?.success()?;
    run("systemctl", ["daemon-reload"])?.success().map(drop)
}

/// Takes over a definition that the package brings as an example.
pub(crate) fn define_example(id: &str) -> Result<(), Failure> {
    let shipped = Path::new("/usr/share/brain-in-jar/examples").join(format!("{id}.toml"));
    let text = std::fs::read_to_string(&shipped)
        .map_err(|error| Failure::new(format!("{}: {error}", shipped.display())))?;
    define(id, &text)
}

/// Overrides settings of one instance as an operator would by `systemctl edit`.
pub(crate) fn override_unit(id: &str, text: &str) -> Result<(), Failure> {
    let path = format!("/etc/systemd/system/brain-experiment@{id}.service.d/override.conf");
    write(Path::new(&path), text)?;
    render_all()
}

/// `systemctl VERB brain-experiment@ID`, as people type it.
pub(crate) fn systemctl(verb: &str, id: &str) -> Result<Output, Failure> {
    run("systemctl", [verb, &format!("brain-experiment@{id}")])
}

/// `bij --json status ID`.
pub(crate) fn status(id: &str) -> Result<Value, Failure> {
    run("bij", ["--json", "status", id])?.json()
}

/// `bij --json history ID`, oldest first.
pub(crate) fn history(id: &str) -> Result<Vec<Value>, Failure> {
    let output = run("bij", ["--json", "history", id])?.success()?;
    match output.json()? {
        Value::Array(rows) => Ok(rows),
        _ => Err(output.unexpected("an array")),
    }
}

/// Waits until the ledger has this many attempts and the last one has ended; returns them all.
pub(crate) fn wait_for_ended(
    guest: &Guest,
    id: &str,
    attempts: usize,
) -> Result<Vec<Value>, Failure> {
    let what = format!("{attempts} ended attempts of {id}");
    guest.wait_for(&what, SOON, || {
        let rows = history(id)?;
        let last_ended = rows.last().is_some_and(|row| !row["ended"].is_null());
        if rows.len() >= attempts && last_ended {
            return Ok(Some(rows));
        }
        Err(Failure::new(format!("the ledger has {}", Value::from(rows))))
    })
}

/// Waits until a unit is in this state.
pub(crate) fn wait_for_state(guest: &Guest, id: &str, state: &str) -> Result<(), Failure> {
    guest.wait_for(&format!("{id} to be {state}"), SOON, || {
        let found = property(&unit(id), "ActiveState")?;
        if found == state {
            return Ok(Some(()));
        }
        let journal = run("journalctl", ["-n", "20", "--no-pager", "-u", &unit(id)])?;
        Err(Failure::new(format!("it is {found}; its journal:\n{}", journal.stdout())))
    })
}

/// Waits for a line in the journal of an experiment's unit, of this boot.
pub(crate) fn wait_for_line(guest: &Guest, id: &str, line: &str) -> Result<(), Failure> {
    guest.wait_for(&format!("{line:?} in the journal of {id}"), SOON, || {
        let output = run("journalctl", ["-b", "-o", "cat", "--no-pager", "-u", &unit(id)])?;
        if output.stdout().contains(line) {
            return Ok(Some(()));
        }
        Err(output.unexpected("that line"))
    })
}

/// The causes of these attempts, oldest first; a dash for one that is open.
pub(crate) fn causes(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["cause"].as_str().unwrap_or("-")).collect()
}

/// The attempts must have ended of exactly these causes.
pub(crate) fn ensure_causes(rows: &[Value], expected: &[&str]) -> Result<(), Failure> {
    ensure_eq!(causes(rows), expected, "the causes in the ledger {}", Value::from(rows));
    Ok(())
}
