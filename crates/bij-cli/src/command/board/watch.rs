//! `bij board --watch`: reads the machine each second.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bij_jetson::{CurrentMode, EnergyCounter, Hardware, HardwareReading, Reading};

use super::{counts_energy, is_this_machine, mean_power, query_power_mode, set_power_mode};
use crate::context::Context;
use crate::error::CliError;
use crate::view::TimedBoard;

const INTERVAL: Duration = Duration::from_secs(1);

/// nvpmodel is asked in every tenth reading only, because that starts a program.
const MODE_QUERY_INTERVAL: usize = 10;

/// Shows the machine each second until Ctrl-C or until the pipe is closed.
pub(super) fn watch(context: &Context, machine: &Hardware) -> Result<(), CliError> {
    let mut due = Instant::now();
    let mut readings = Readings::default();
    loop {
        let mut sample = machine.sample();
        if is_this_machine(context) {
            readings.complete(context, &mut sample);
        }
        let board = TimedBoard::new(SystemTime::now().into(), &sample, machine.clocks_held());
        context.terminal.show_in_place(&board)?;
        // After a reading that took more than a second the next one follows at once; none is made up for.
        due = (due + INTERVAL).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// State that is carried from one reading to the next.
#[derive(Default)]
struct Readings {
    count: usize,
    mode: Option<CurrentMode>,
    energy: Option<(Reading<Vec<EnergyCounter>>, Instant)>,
}

impl Readings {
    /// Adds the power mode, which a program reports, and the power, which takes two readings.
    fn complete(&mut self, context: &Context, sample: &mut HardwareReading) {
        if self.count.is_multiple_of(MODE_QUERY_INTERVAL) {
            self.mode = query_power_mode(context, sample);
        }
        self.count += 1;
        set_power_mode(sample, self.mode.clone());
        if counts_energy(sample) {
            let now = Instant::now();
            let before = self.energy.replace((sample.energy.clone(), now));
            if let Some((earlier, started)) = before {
                sample.rails = mean_power(&earlier, &sample.energy, now - started);
            }
        }
    }
}
