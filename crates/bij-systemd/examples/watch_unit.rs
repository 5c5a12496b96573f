//! Prints the state of any unit, and again whenever it changes, through restarts of the bus and of systemd.
//!
//! `watch_unit systemd-logind.service [--user]`

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use bij_systemd::{Manager, ManagerAddress, UnitEvent, UnitName};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    let _ = writeln!(stderr(), "error: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let unit: UnitName = arguments.next().ok_or("name a unit, such as ssh.service")?.parse()?;
    let address = match arguments.next().as_deref() {
        Some("--user") => ManagerAddress::User,
        _ => ManagerAddress::System,
    };
    let manager = Manager::connect(address).await?;
    let mut watch = manager.watch_unit(&unit);
    let mut shown = None;
    loop {
        match watch.next().await {
            UnitEvent::Lost(reason) => writeln!(stderr(), "no bus ({reason}); connecting again")?,
            UnitEvent::MayGoDown => {}
            // An event is a hint to read the unit; a `Resync` means that some may have been missed.
            _ => {
                let now = manager.status(&unit).await?;
                let state = (now.active_state, now.sub_state, now.main_pid);
                if shown.as_ref() != Some(&state) {
                    let (active, sub, pid) = &state;
                    let pid = pid.map(|pid| format!(", main process {pid}")).unwrap_or_default();
                    let memory = now.resources.memory_current;
                    let memory = memory.map(|bytes| format!(", {bytes}")).unwrap_or_default();
                    writeln!(stdout(), "{unit}: {active} ({sub}){pid}{memory}")?;
                    shown = Some(state);
                }
            }
        }
    }
}
