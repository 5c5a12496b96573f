//! `bij board`: how hot, how fast and how busy the machine is.

mod watch;

use std::path::Path;
use std::time::{Duration, Instant};

use bij_jetson::{
    BoardSample, CurrentMode, EnergyCounter, Machine, PowerControl, Reading, Root, WhyNot,
};

use crate::args::BoardArgs;
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::view::{BoardMinutes, BoardPage, BoardSamples};

/// It answers within a tenth of a second, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The counters are written anew every millisecond: this is long enough for a hundredth.
const BETWEEN: Duration = Duration::from_millis(200);

/// Reads the machine, or a captured tree of one, and shows it: once, over and over, or as it was.
pub(crate) async fn board(context: &Context, args: &BoardArgs) -> Result<(), CliError> {
    if let Some(newest) = args.minutes {
        return minutes(context, newest).await;
    }
    if let Some(newest) = args.samples {
        return samples(context, newest).await;
    }
    let root = &context.root;
    if !root.is_dir() {
        let text = format!("--root: there is no directory {}", root.display());
        return Err(CliError::new(Kind::Usage, text));
    }
    let machine = Machine::below(root);
    if args.watch {
        return watch::watch(context, &machine);
    }
    let mut sample = machine.sample();
    if is_this_machine(context) {
        let mode = ask(context, &sample);
        put_in_force(&mut sample, mode);
        measure(&machine, &mut sample);
    }
    context.terminal.show(&BoardPage::new(&sample, machine.clocks_held()))
}

async fn minutes(context: &Context, newest: usize) -> Result<(), CliError> {
    let minutes = BoardMinutes::new(context.past().await?.board_minutes(newest).await?);
    if minutes.is_empty() {
        context.terminal.status("Nothing has been kept.");
    }
    context.terminal.show(&minutes)
}

async fn samples(context: &Context, newest: usize) -> Result<(), CliError> {
    let mut samples = coordinator::connect(context).await?.board().await?;
    samples.drain(..samples.len().saturating_sub(newest));
    if samples.is_empty() {
        context.terminal.status("Nothing has run in the last hour.");
    }
    let samples = BoardSamples::new(samples);
    if !context.terminal.json() {
        return context.terminal.show(&samples);
    }
    samples.lines().try_for_each(|sample| context.terminal.show_next(&sample))
}

fn is_this_machine(context: &Context) -> bool {
    context.root == Path::new("/")
}

/// Of this very machine nvpmodel knows better than what it wrote down when it last set a mode.
fn ask(context: &Context, sample: &BoardSample) -> Option<CurrentMode> {
    if !sample.identity.is_jetson() || sample.power.offered.is_err() {
        return None;
    }
    let control = PowerControl::below(Root::new("/"), context.layout.runtime());
    control.with_limit(PATIENCE).current(&sample.power)
}

fn put_in_force(sample: &mut BoardSample, mode: Option<CurrentMode>) {
    if let Some(mode) = mode {
        sample.power.current = Ok(mode);
    }
}

/// A PC has no rails, but may count energy: of its powers two looks make a mean.
fn measure(machine: &Machine, sample: &mut BoardSample) {
    if !counts_energy(sample) {
        return;
    }
    let (earlier, begun) = (machine.energy(), Instant::now());
    std::thread::sleep(BETWEEN);
    sample.energy = machine.energy();
    sample.rails = rails(&earlier, &sample.energy, begun.elapsed());
}

fn counts_energy(sample: &BoardSample) -> bool {
    sample.rails == Err(WhyNot::Absent) && sample.energy.iter().flatten().next().is_some()
}

/// What the counters say that was drawn between two looks at them.
fn rails(
    earlier: &Reading<Vec<EnergyCounter>>,
    later: &Reading<Vec<EnergyCounter>>,
    elapsed: Duration,
) -> Reading<Vec<bij_jetson::Rail>> {
    let counters = |reading: &Reading<Vec<EnergyCounter>>| reading.clone();
    Ok(EnergyCounter::rails(&counters(earlier)?, &counters(later)?, elapsed))
}
