//! A crash ledger around any command: it records when the command begins, how it ends and why, and prints the history.
//!
//! `cargo run -p bij-store --example crash_ledger -- state.db backup sh -c 'exit 3'`
#![expect(clippy::print_stdout, reason = "it is an example that prints the history")]

use std::process::Command;
use std::time::{Instant, SystemTime};
use std::{env, fs};

use bij_core::port::{AttemptQuery, Ledger, Opening};
use bij_core::{
    Attempt, AttemptKey, Evidence, ExperimentId, RecoveredEnd, StartKind, close_other_boots,
    close_this_boot,
};
use bij_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args_os().skip(1);
    let (Some(database), Some(name), Some(program)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: crash_ledger DATABASE NAME COMMAND [ARGUMENT]...".into());
    };
    let name: ExperimentId = name.to_string_lossy().parse()?;
    let mut ledger = Store::open(database)?;
    let now = || SystemTime::now().into();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.parse()?;
    let invocation = fs::read_to_string("/proc/sys/kernel/random/uuid")?.parse()?;

    // Attempts without an end: of a boot that is over, or of a crash_ledger that was killed. One at a time runs a NAME.
    close_other_boots(&mut ledger, boot, now(), |_| RecoveredEnd::default())?;
    let is_running = |attempt: &Attempt| attempt.run.experiment != name;
    close_this_boot(&mut ledger, boot, now(), is_running, |_| RecoveredEnd::default())?;

    let key = AttemptKey { boot, invocation };
    let opening = Opening::new(name.clone(), key, now(), StartKind::Fresh);
    ledger.open(&opening)?;
    let started = Instant::now();
    let mut evidence = match Command::new(program).args(arguments).spawn() {
        Ok(mut child) => Evidence::from_exit_status(child.wait()?),
        Err(error) => Evidence::from_spawn_error(&error),
    };
    evidence.ran_for = Some(started.elapsed().into());
    ledger.close(&opening.to_closing(now(), evidence))?;

    for attempt in ledger.attempts(&AttemptQuery::for_experiment(name.clone()))? {
        let Attempt { run, number, started, end, .. } = attempt;
        let end = end.map(|end| (end.cause.to_string(), end.evidence.exit));
        let (cause, exit) = end.unwrap_or_else(|| ("open".to_owned(), None));
        let exit = exit.map_or_else(String::new, |exit| format!("{exit:?}"));
        println!("{run}\t{number}\t{started}\t{cause}\t{exit}");
    }
    println!("{} crashes", ledger.tally(&name)?.crashes);
    Ok(())
}
