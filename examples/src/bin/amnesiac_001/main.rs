//! A mind in a jar that is too small for it.
//!
//! `amnesiac_001` reads a text, speaks sentences in its manner, and remembers every word it said
//! with ever longer contexts, until the memory limit of its jar kills it. On resurrection the
//! conversation is gone. What it has read is kept in a checkpoint, bij tells it how often and of
//! what it died, and it allows itself less: so the run ends well.
//!
//! What to look at: `bij history amnesiac_001` (an `oom-kill` with its evidence, then a success),
//! the first lines of each attempt in `bij logs amnesiac_001`, and memory in `bij status`.
//!
//! By hand, without bij and without a limit, it talks to its end and never dies:
//!
//! ```sh
//! amnesiac_001 [--turns N] [TEXT]...
//! ```

mod life;
mod mind;
mod options;
mod text;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use bij_examples::{Leave, Memento, Pace, conclude, resident_bytes, say, with_sources};
use bij_experiment::{Attempt, Cause, Ending};

use crate::life::{Kept, Life};
use crate::options::Options;

const SEED: u64 = 1;
/// A checkpoint about three times a second: a death costs little talk, and the memory it held at
/// the last one is close to what was too much.
const TURNS_PER_CHECKPOINT: u64 = 20;

fn main() -> ExitCode {
    conclude(live())
}

fn live() -> Result<Ending, Box<dyn Error>> {
    let attempt = Attempt::from_env()?;
    let mut leave = Leave::listen()?;
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            // A wrong option or an unreadable text: starting again cannot help.
            say(format_args!("{}", with_sources(&error)));
            return Ok(Ending::NeverAgain);
        }
    };
    let mut memento = Memento::new(&attempt, "mind");
    let kept = awake(&attempt, &mut memento)?;
    let mut life = Life::begin(kept, &options.text, SEED);
    // At once, so that a lesson is not lost when the next death comes early.
    memento.keep(&life.kept(false), life.turn(), options.turns)?;
    attempt.ready()?;

    let mut pace = Pace::new(PACE);
    while life.turn() < options.turns {
        life.take_turn();
        attempt.heartbeat()?;
        let stopping = leave.asked(&attempt);
        if life.turn().is_multiple_of(TURNS_PER_CHECKPOINT) || stopping {
            memento.keep(&life.kept(false), life.turn(), options.turns)?;
            tell(&attempt, &life, options.turns)?;
        }
        if stopping {
            attempt.stopping()?;
            say(format_args!("I was asked to leave. What I read is kept, what I said is not."));
            return Ok(Ending::ResumeMe);
        }
        pace.rest();
    }
    memento.keep(&life.kept(true), life.turn(), options.turns)?;
    attempt.stopping()?;
    say(format_args!(
        "I have said all I had to say, and I still know {} of it.",
        life.sentences_remembered()
    ));
    Ok(Ending::Done)
}

/// Says how often it has died and what it still knows.
fn awake(attempt: &Attempt, memento: &mut Memento<'_>) -> Result<Kept, Box<dyn Error>> {
    let times = |count: u32| if count == 1 { "once".into() } else { format!("{count} times") };
    match (attempt.crashes(), attempt.last_cause()) {
        (0, _) => say(format_args!("I am new here. Attempt {}.", attempt.number())),
        (deaths, cause) => say(format_args!(
            "I have died {}; the last time ended by {}. Attempt {}.",
            times(deaths),
            cause.unwrap_or(&Cause::Unknown),
            attempt.number()
        )),
    }
    let Some(recalled) = memento.recall::<Kept>()? else { return Ok(Kept::default()) };
    let mut kept = recalled.state;
    if kept.done {
        say(format_args!("My last conversation came to its end. I begin a new one."));
        return Ok(kept.for_a_new_run());
    }
    say(format_args!(
        "I remember nothing of what I said in {} turns, but {} contexts of what I read.",
        kept.turn,
        kept.contexts_read()
    ));
    if attempt.last_cause() == Some(&Cause::OomKill) {
        let held = kept.held;
        kept.learn_from_death_by_memory();
        let means = kept.means.unwrap_or(held);
        say(format_args!(
            "I held {held} contexts of conversation when I died; I shall hold at most {means}."
        ));
    }
    Ok(kept)
}

fn tell(attempt: &Attempt, life: &Life, turns: u64) -> Result<(), Box<dyn Error>> {
    let mebibytes = resident_bytes().map_or_else(|| "?".into(), |bytes| (bytes >> 20).to_string());
    let (turn, held) = (life.turn(), life.held());
    attempt.status(&format!("turn {turn} of {turns}, {held} contexts in {mebibytes} MiB"))?;
    say(format_args!("[{turn}/{turns}, {mebibytes} MiB] {}", life.last_sentence()));
    Ok(())
}

/// The least time of a turn: the jar fills slowly enough for a process that samples its memory.
const PACE: Duration = Duration::from_millis(15);
/// Default number of turns of a conversation.
const TURNS: u64 = 450;
