//! A mind that is watched, and tests it once.
//!
//! `panopticon_003` looks around through `/proc` and says what it sees. It is a `Type=notify`
//! service: it says when it is ready, and from then on a heartbeat is due within `WatchdogSec=`.
//! Once in a run, in the first attempt, it falls silent without dying, as a program does that
//! hangs. The watchdog notices and ends it; the next attempt knows that it was caught, and behaves.
//!
//! What to look at: `bij history panopticon_003` (a `watchdog`, then a success), the status line in
//! `bij status panopticon_003` or `systemctl status`, and in the log how long the silence lasted.
//!
//! Started by hand it has no watchdog, and does not fall silent.

mod diary;
mod eye;

use std::error::Error;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bij_examples::{Leave, Memento, Pace, conclude, say};
use bij_experiment::{Attempt, Cause, Ending};

use crate::diary::Diary;
use crate::eye::Eye;

const LOOKS: u64 = 50;
/// Time from one look to the next. A heartbeat goes with each that is due.
const PACE: Duration = Duration::from_millis(100);
/// In the first attempt it falls silent after this look.
const SILENT_AFTER: u64 = 20;
const LOOKS_PER_CHECKPOINT: u64 = 5;
/// Number of watchdog timeouts that it waits in silence; after that there is no working watchdog.
const PATIENCE: u32 = 10;

fn main() -> ExitCode {
    conclude(observe())
}

fn observe() -> Result<Ending, Box<dyn Error>> {
    let attempt = Attempt::from_env()?;
    let mut leave = Leave::listen()?;
    let mut memento = Memento::new(&attempt, "diary");
    let mut diary = awake(&attempt, &mut memento)?;
    let eye = Eye::on("/proc");
    attempt.ready()?;

    let mut pace = Pace::new(PACE);
    while diary.looks < LOOKS {
        diary.note(&eye.look());
        attempt.heartbeat()?;
        let stopping = leave.asked(&attempt);
        if diary.looks.is_multiple_of(LOOKS_PER_CHECKPOINT) || stopping {
            memento.keep(&diary, diary.looks, LOOKS)?;
            attempt.status(&diary.summary())?;
            say(format_args!("[{}/{LOOKS}] {}", diary.looks, diary.summary()));
        }
        if stopping {
            attempt.stopping()?;
            say(format_args!("I was asked to leave. My diary is kept."));
            return Ok(Ending::ResumeMe);
        }
        if let Some(timeout) = attempt.watchdog()
            && attempt.number() == 1
            && diary.silent_after.is_none()
            && diary.looks == SILENT_AFTER
        {
            diary.silent_after = Some(diary.looks);
            memento.keep(&diary, diary.looks, LOOKS)?;
            return fall_silent(&attempt, &mut leave, timeout);
        }
        pace.rest();
    }
    diary.done = true;
    memento.keep(&diary, diary.looks, LOOKS)?;
    attempt.stopping()?;
    say(format_args!("I have seen enough: {}.", diary.summary()));
    Ok(Ending::Done)
}

fn awake(attempt: &Attempt, memento: &mut Memento<'_>) -> Result<Diary, Box<dyn Error>> {
    let watched = match attempt.watchdog() {
        Some(timeout) => format!("a heartbeat is due every {timeout:?}"),
        None => "nobody waits for my heartbeats".to_owned(),
    };
    say(format_args!("Attempt {}: {watched}.", attempt.number()));
    let recalled = memento.recall::<Diary>()?;
    let Some(diary) = recalled.map(|recalled| recalled.state).filter(|diary| !diary.done) else {
        return Ok(Diary::default());
    };
    let memory = match (diary.silent_after, attempt.last_cause()) {
        (Some(look), Some(Cause::Watchdog)) => {
            format!("I fell silent after look {look} and was caught. I am watched, then.")
        }
        (Some(look), _) => format!("I fell silent after look {look}, and no watchdog came."),
        (None, _) => format!("I go on after look {}.", diary.looks),
    };
    say(format_args!("{memory}"));
    Ok(diary)
}

/// Says nothing, as a program does that hangs, until the watchdog ends it. A request to leave is
/// still heard: a demonstration should not hold up a shutdown.
fn fall_silent(
    attempt: &Attempt,
    leave: &mut Leave,
    timeout: Duration,
) -> Result<Ending, Box<dyn Error>> {
    say(format_args!("I shall say nothing now. Is anybody watching?"));
    let silence_began = Instant::now();
    while silence_began.elapsed() < timeout * PATIENCE {
        sleep(PACE);
        if leave.asked(attempt) {
            return Ok(Ending::ResumeMe);
        }
    }
    Err(format!("I was silent for {:?}, and nobody came", silence_began.elapsed()).into())
}
