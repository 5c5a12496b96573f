//! Lists loaded units with their memory and processor time, or shows one unit.
//!
//! `list_units 'systemd-*.service'`; `list_units --show systemd-logind.service`. A plain program, without an async
//! runtime.

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use bij_core::{Resources, TimeSpan};
use bij_systemd::blocking::Manager;
use bij_systemd::{ManagerAddress, UnitFilter, UnitName};

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    let _ = writeln!(stderr(), "error: {error}");
    ExitCode::FAILURE
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let manager = Manager::connect(ManagerAddress::System)?;
    let mut out = stdout().lock();
    if arguments.next_if_eq("--show").is_some() {
        let unit: UnitName = arguments.next().ok_or("name a unit, such as ssh.service")?.parse()?;
        let details = manager.status(&unit)?;
        writeln!(out, "{unit} is {} ({})", details.active_state, details.sub_state)?;
        writeln!(out, "main process: {}", shown(details.main_pid))?;
        writeln!(out, "restarts: {}", shown(details.restarts))?;
        return Ok(writeln!(out, "{}", usage(&details.resources))?);
    }
    let filter = arguments.fold(UnitFilter::new().with_resources(), UnitFilter::pattern);
    for unit in manager.list(&filter)? {
        let usage = usage(&unit.resources);
        writeln!(out, "{:<50} {:<10} {usage}", unit.name.as_str(), unit.active_state)?;
    }
    Ok(())
}

fn usage(resources: &Resources) -> String {
    let cpu = resources.cpu_usage_nsec.map(|nanos| TimeSpan::from_micros(nanos / 1000));
    format!("memory {}, processor {}", shown(resources.memory_current), shown(cpu))
}

fn shown(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
