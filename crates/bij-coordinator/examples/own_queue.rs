//! A queue with a policy of one's own: one download at a time, and the shortest job first. The jobs
//! are child processes; `decide` says which may start, and why the others wait.
#![expect(clippy::disallowed_methods, reason = "this program starts processes; the crate does not")]

use std::error::Error;
use std::io::{Write as _, stdout};
use std::process::{Child, Command};

use bij_coordinator::Now;
use bij_coordinator::policy::{Action, Observation, State, decide};
use bij_core::port::Sample;
use bij_core::queue::{Queue, Submission};
use bij_core::{BootId, Bytes, CoordinatorSettings, RunId, Timestamp, Uptime};

/// Name, group, memory in GiB, and expected minutes of each job.
const JOBS: [(&str, &str, u64, i32); 5] = [
    ("fetch-a", "downloads", 1, 10),
    ("fetch-b", "downloads", 1, 5),
    ("train", "default", 20, 300),
    ("sweep", "default", 16, 60),
    ("whale", "default", 60, 600),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = CoordinatorSettings::default();
    settings.total_memory = Some("32G".parse()?);
    settings.groups.insert("downloads".parse()?, 1);
    let mut state = State::new(BootId::from_bytes([1; 16]), settings, Queue::default());
    let now = Now { at: Timestamp::from_micros(0), uptime: Uptime::from_secs(600) };
    let seen = Observation::new(now, Sample::new(Bytes::new(64 << 30), Bytes::new(60 << 30)));
    for (name, group, gib, minutes) in JOBS {
        let mut job = Submission::new(name.parse()?, "me");
        (job.terms.group, job.terms.priority) = (group.parse()?, -minutes);
        job.terms.claim.memory = Some(Bytes::new(gib << 30));
        match state.submit(&job, &seen) {
            Ok(run) => writeln!(stdout(), "{} is queued at {}", run.run, run.position.0)?,
            Err(error) => writeln!(stdout(), "refused: {error}")?,
        }
    }
    let mut running: Vec<(RunId, Child)> = Vec::new();
    while !state.runs.is_empty() {
        let decision = decide(&state, &seen);
        state.carry_out(&decision);
        for action in decision.actions {
            let Action::Start { run, .. } = action else { continue };
            writeln!(stdout(), "{run} starts")?;
            state.unit_started(&run.experiment);
            running.push((run, Command::new("true").spawn()?));
        }
        for run in state.in_order() {
            let reasons = decision.report.waiting[&run.run].iter().map(|it| it.gate.to_string());
            writeln!(stdout(), "{} waits: {}", run.run, reasons.collect::<Vec<_>>().join("; "))?;
        }
        let (run, mut child) = running.remove(0);
        writeln!(stdout(), "{run} ends: {}", child.wait()?)?;
        state.run_ended(&run);
    }
    Ok(())
}
