//! `bij board --watch`: the machine, each second anew.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bij_jetson::{BoardSample, CurrentMode, EnergyCounter, Machine, Reading};

use super::{ask, counts_energy, is_this_machine, put_in_force, rails};
use crate::context::Context;
use crate::error::CliError;
use crate::view::TimedBoard;

const EVERY: Duration = Duration::from_secs(1);

/// nvpmodel is a program of its own; a mode that was set elsewhere shows after this many looks.
const ASK_EVERY: usize = 10;

/// Shows the machine each second until whoever watches has enough: Ctrl-C, a pipe that is closed.
pub(super) fn watch(context: &Context, machine: &Machine) -> Result<(), CliError> {
    let mut due = Instant::now();
    let mut looks = Looks::default();
    loop {
        let mut sample = machine.sample();
        if is_this_machine(context) {
            looks.complete(context, &mut sample);
        }
        let board = TimedBoard::new(SystemTime::now().into(), &sample, machine.clocks_held());
        context.terminal.show_again(&board)?;
        // A look that took longer than a second is followed by the next one; nothing is caught up.
        due = (due + EVERY).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// What one look has left for the next ones.
#[derive(Default)]
struct Looks {
    count: usize,
    mode: Option<CurrentMode>,
    energy: Option<(Reading<Vec<EnergyCounter>>, Instant)>,
}

impl Looks {
    /// Adds what takes two looks, or a program, to know.
    fn complete(&mut self, context: &Context, sample: &mut BoardSample) {
        if self.count.is_multiple_of(ASK_EVERY) {
            self.mode = ask(context, sample);
        }
        self.count += 1;
        put_in_force(sample, self.mode.clone());
        if counts_energy(sample) {
            let now = Instant::now();
            let before = self.energy.replace((sample.energy.clone(), now));
            if let Some((earlier, begun)) = before {
                sample.rails = rails(&earlier, &sample.energy, now - begun);
            }
        }
    }
}
