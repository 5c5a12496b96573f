//! Runs a command as a transient service with a limit of memory, and names the cause of its end.
//!
//! `limited_service stress.service 64M /usr/bin/tail /dev/zero` prints that the kernel killed it for memory, on
//! either version of control groups. A plain program, without an async runtime.

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use bij_core::{Bytes, Cause, Limit};
use bij_systemd::blocking::Manager;
use bij_systemd::{ManagerAddress, Property, TransientService, UnitName};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        let _ = writeln!(stderr(), "error: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().ok_or(format!("{what} is missing"));
    let name: UnitName = next("the name of a service")?.parse()?;
    let memory: Bytes = next("a limit of memory, such as 64M,")?.parse()?;
    let program = next("the absolute path of a program")?;
    let command = std::iter::once(program).chain(arguments);

    let no_swap = Property::memory_swap_max(Limit::At(Bytes::new(0)));
    let service =
        TransientService::new(name, command).memory_max(memory).property(no_swap).sandboxed();
    let manager = Manager::connect(ManagerAddress::System)?;
    let unit = manager.start_transient(&service)?;
    if let Some(invocation) = unit.started().invocation {
        writeln!(stdout(), "its log: journalctl INVOCATION_ID={invocation}")?;
    }
    let end = unit.wait()?;
    writeln!(stdout(), "cause: {}", end.cause)?;
    if let Some(peak) = end.evidence.memory_peak {
        writeln!(stdout(), "peak of memory: {peak}")?;
    }
    if let Some(line) = end.evidence.kernel_line {
        writeln!(stdout(), "the kernel: {line}")?;
    }
    Ok(if end.cause == Cause::Success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
