//! An experiment that continues where its last attempt stopped: it adds numbers, saves a checkpoint after every
//! twentieth, and asks to be resumed when it is stopped.
//!
//! It runs under bij, and without it: `cargo run -p bij-experiment --example resume`.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::time::Duration;

use bij_experiment::{Attempt, Ending, Progress};

const STEPS: u64 = 100;

fn main() -> Result<Ending, Box<dyn Error>> {
    let attempt = Attempt::from_env()?;
    let mut checkpoints = attempt.checkpoints("sum");

    // A checkpoint that a power cut has cut short is refused; the one before it is used instead.
    let (mut step, mut sum) = (0_u64, 0_u64);
    if let Some(checkpoint) = checkpoints.resume(attempt.resume_from())?.checkpoint {
        let text = String::from_utf8(checkpoint.payload)?;
        let (saved_step, saved_sum) =
            text.split_once(' ').ok_or("not a checkpoint of this program")?;
        (step, sum) = (saved_step.parse()?, saved_sum.parse()?);
        writeln!(stdout(), "continuing after step {step}")?;
    }

    attempt.ready()?;
    while step < STEPS {
        std::thread::sleep(Duration::from_millis(10)); // the work
        step += 1;
        sum += step;
        attempt.heartbeat()?;
        if step % 20 == 0 || attempt.stop_requested() {
            let path = checkpoints.save(format!("{step} {sum}").as_bytes())?;
            attempt.report(&Progress::at(step).total(STEPS).checkpoint(path))?;
        }
        if attempt.stop_requested() {
            return Ok(Ending::ResumeMe);
        }
    }
    writeln!(stdout(), "the sum is {sum}")?;
    checkpoints.remove_all()?;
    Ok(Ending::Done)
}
