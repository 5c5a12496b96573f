//! A mind that falls apart at random, and whose work does not.
//!
//! `unstable_002` looks for a short round trip through 60 towns. Its seed and the attempt's number
//! decide beforehand whether an attempt will leave with a bad exit code, be killed by a signal, or
//! live. Every round ends with a checkpoint, and the randomness of the search depends on the round
//! only: whatever happens in between, the tour found at the end is the same.
//!
//! What to look at: `bij history unstable_002` (an exit code, a signal, a success), and the length
//! of the tour in `bij logs unstable_002`, which goes on where it was after each death.
//!
//! ```sh
//! unstable_002 [SEED]
//! ```

mod fate;
mod tour;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use bij_examples::{Leave, Memento, Pace, conclude, say};
use bij_experiment::{Attempt, Cause, Ending};
use nix::sys::signal::{Signal, raise};

use crate::fate::Fate;
use crate::tour::{Map, Tour};

/// Dies once by code, once by signal, and lives at the third attempt.
const SEED: u64 = 3017;
const ROUNDS: u64 = 50;
/// The least time of one round, so that people can watch.
const PACE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match wander() {
        Ok(Parting::Ending(ending)) => ending.into(),
        Ok(Parting::Code(code)) => code.into(),
        Err(error) => conclude(Err(error)),
    }
}

/// How it leaves when no signal takes it.
enum Parting {
    Ending(Ending),
    Code(u8),
}

fn wander() -> Result<Parting, Box<dyn Error>> {
    let attempt = Attempt::from_env()?;
    let mut leave = Leave::listen()?;
    let Some(seed) = seed() else {
        say(format_args!("the seed must be a number from 0 to {}", u64::MAX));
        return Ok(Parting::Ending(Ending::NeverAgain));
    };
    let map = Map::of(seed);
    let mut memento = Memento::new(&attempt, "tour");
    let mut tour = awake(&attempt, &mut memento)?;
    let fate = Fate::of(seed, attempt.number());
    attempt.ready()?;

    let mut rounds = 0;
    let mut pace = Pace::new(PACE);
    while tour.round < ROUNDS {
        tour.search_round(&map, seed);
        rounds += 1;
        attempt.heartbeat()?;
        memento.keep(&tour, tour.round, ROUNDS)?;
        let (round, length) = (tour.round, tour.length(&map));
        attempt.status(&format!("round {round} of {ROUNDS}, the tour is {length:.3} long"))?;
        if round % 5 == 0 {
            say(format_args!("[{round}/{ROUNDS}] the tour is {length:.3} long"));
        }
        if leave.asked(&attempt) {
            say(format_args!("I was asked to leave. The tour is kept."));
            return Ok(Parting::Ending(Ending::ResumeMe));
        }
        if fate.strikes_after(rounds) {
            return meet(fate);
        }
        pace.rest();
    }
    say(format_args!("The shortest tour that I found is {:.6} long.", tour.length(&map)));
    Ok(Parting::Ending(Ending::Done))
}

/// The first argument, the default without one, `None` if it is no number.
fn seed() -> Option<u64> {
    match std::env::args_os().nth(1) {
        None => Some(SEED),
        Some(seed) => seed.to_str()?.parse().ok(),
    }
}

fn awake(attempt: &Attempt, memento: &mut Memento<'_>) -> Result<Tour, Box<dyn Error>> {
    if attempt.crashes() > 0 {
        let cause = attempt.last_cause().unwrap_or(&Cause::Unknown);
        say(format_args!("Crashes so far: {}; my last life ended by {cause}.", attempt.crashes()));
    }
    let begin = || {
        say(format_args!("Attempt {}: I begin with a tour at random.", attempt.number()));
        Tour::begin()
    };
    let Some(recalled) = memento.recall::<Tour>()? else { return Ok(begin()) };
    let tour = recalled.state;
    if !tour.is_whole() {
        return Err(format!("{} holds no tour of our towns", recalled.path.display()).into());
    }
    if tour.round >= ROUNDS {
        return Ok(begin());
    }
    say(format_args!("Attempt {}: I go on after round {}.", attempt.number(), tour.round));
    Ok(tour)
}

/// Dies. Returns only for an exit code.
fn meet(fate: Fate) -> Result<Parting, Box<dyn Error>> {
    match fate {
        Fate::Live => Err("there is nothing to die of".into()),
        Fate::Exit { code, .. } => {
            say(format_args!("I feel unwell (exit code {code})."));
            Ok(Parting::Code(code))
        }
        Fate::Signal { signal, .. } => {
            say(format_args!("I feel very unwell ({signal})."));
            die_by(signal)
        }
    }
}

/// Raises `signal` on itself, twice where the first one is only a warning: Rust's runtime catches
/// SIGSEGV and SIGBUS to recognize stack overflows; for any other one it restores the default
/// action and returns, expecting the faulting instruction to fault again. Ours does not.
fn die_by(signal: Signal) -> Result<Parting, Box<dyn Error>> {
    raise(signal)?;
    raise(signal)?;
    Err(format!("{signal} did not kill this process").into())
}
