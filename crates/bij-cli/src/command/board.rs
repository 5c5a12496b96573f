//! `bij board`: how hot, how fast and how busy the machine is.

use std::path::Path;
use std::time::{Duration, Instant};

use bij_jetson::{BoardSample, EnergyCounter, Machine, Nvpmodel, Root, WhyNot};

use crate::context::Context;
use crate::error::CliError;
use crate::view::BoardPage;

/// It answers within a tenth of a second, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The counters are written anew every millisecond: this is long enough for a hundredth.
const BETWEEN: Duration = Duration::from_millis(200);

/// Reads the machine once, or a captured tree of one, and shows it.
pub(crate) fn board(context: &Context) -> Result<(), CliError> {
    let machine = Machine::below(&context.root);
    let mut sample = machine.sample();
    if context.root == Path::new("/") {
        ask(&mut sample);
        measure(&machine, &mut sample);
    }
    context.terminal.show(&BoardPage::new(&sample))
}

/// Of this very machine nvpmodel knows better than what it wrote down when it last set a mode.
fn ask(sample: &mut BoardSample) {
    if sample.identity.is_jetson() && sample.power.offered.is_ok() {
        let nvpmodel = Nvpmodel::below(Root::new("/")).with_limit(PATIENCE);
        if let Ok(current) = nvpmodel.query() {
            sample.power.current = Ok(current);
        }
    }
}

/// A PC has no rails, but may count energy: of its powers two looks make a mean.
fn measure(machine: &Machine, sample: &mut BoardSample) {
    if sample.rails != Err(WhyNot::Absent) || sample.energy.iter().flatten().next().is_none() {
        return;
    }
    let (earlier, begun) = (machine.energy(), Instant::now());
    std::thread::sleep(BETWEEN);
    let (later, elapsed) = (machine.energy(), begun.elapsed());
    sample.rails = earlier.and_then(|earlier| Ok(EnergyCounter::rails(&earlier, &later?, elapsed)));
}
