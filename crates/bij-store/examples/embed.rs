//! A program with its own ledger: it pretends to run an experiment that crashes once.
//!
//! `cargo run -p bij-store --example embed -- /tmp/embed/state.db`
#![expect(clippy::print_stdout, reason = "it is an example that shows what it reads")]

use std::path::PathBuf;
use std::time::SystemTime;
use std::{env, fs, process};

use bij_core::port::{AttemptQuery, Closing, Ledger, Opening};
use bij_core::{AttemptEnd, AttemptKey, Evidence, Exit, InvocationId, StartKind};
use bij_store::RobustLedger;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = env::args_os().nth(1).map_or_else(|| PathBuf::from("state.db"), PathBuf::from);
    let spool = database.with_file_name("spool");
    let mut ledger =
        RobustLedger::new(database, spool).with_notices(|notice| println!("notice: {notice}"));

    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.parse()?;
    for (number, code) in [(1_u8, 1), (2, 0)] {
        // systemd makes the invocation id of a unit; without systemd the supervisor makes it.
        let mut invocation = [number; 16];
        invocation[..4].copy_from_slice(&process::id().to_be_bytes());
        let key = AttemptKey { boot, invocation: InvocationId::from_bytes(invocation) };
        let start = if number == 1 { StartKind::Fresh } else { StartKind::Restart };
        let (experiment, at) = ("embedded".parse()?, SystemTime::now().into());

        let opened = ledger.open(&Opening { experiment, key, at, uptime: None, start })?;
        let (run, attempt, crashes) = (&opened.run, opened.attempt, opened.before.crashes);
        println!("{run} attempt {attempt} begins after {crashes} crashes");

        let mut evidence = Evidence::default();
        evidence.exit = Some(Exit::Code(code));
        evidence.became_ready = true;
        let end = AttemptEnd { at: SystemTime::now().into(), cause: evidence.prove(), evidence };
        let experiment = opened.run.experiment;
        ledger.close(&Closing { experiment, key, ready: Some(at), end, started: at })?;
    }
    for attempt in ledger.attempts(&AttemptQuery::default())? {
        let cause = attempt.end.map_or_else(|| "open".to_owned(), |end| end.cause.to_string());
        println!("{}\t{}\t{}\t{cause}", attempt.run, attempt.number, attempt.started);
    }
    Ok(())
}
