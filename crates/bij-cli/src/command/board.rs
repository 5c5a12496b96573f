//! `bij board`: temperatures, clocks and load of the machine.

mod watch;

use std::path::Path;
use std::time::{Duration, Instant};

use bij_jetson::{
    CurrentMode, EnergyCounter, Hardware, HardwareReading, PowerControl, Reading, Root, WhyNot,
};

use crate::args::BoardArgs;
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::view::{BoardMinutes, BoardPage, BoardSamples};

/// The time limit for nvpmodel, which usually takes a tenth of a second.
const NVPMODEL_TIMEOUT: Duration = Duration::from_secs(5);

/// The time between two readings of an energy counter. Counters are updated every millisecond, so the error
/// is below one per cent.
const ENERGY_INTERVAL: Duration = Duration::from_millis(200);

/// Shows the machine, or a captured tree of one: once, repeatedly, or from its records.
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
    let machine = Hardware::below(root);
    if args.watch {
        return watch::watch(context, &machine);
    }
    let mut sample = machine.sample();
    if is_this_machine(context) {
        let mode = query_power_mode(context, &sample);
        set_power_mode(&mut sample, mode);
        measure_power(&machine, &mut sample);
    }
    context.terminal.show(&BoardPage::new(&sample, machine.clocks_held()))
}

async fn minutes(context: &Context, newest: usize) -> Result<(), CliError> {
    let minutes = BoardMinutes::new(context.history().await?.board_minutes(newest).await?);
    if minutes.is_empty() {
        context.terminal.status("No minutes are recorded.");
    }
    context.terminal.show(&minutes)
}

async fn samples(context: &Context, newest: usize) -> Result<(), CliError> {
    let mut samples = coordinator::connect(context).await?.board().await?;
    samples.drain(..samples.len().saturating_sub(newest));
    if samples.is_empty() {
        context.terminal.status("No experiment has run in the last hour.");
    }
    let samples = BoardSamples::new(samples);
    if !context.terminal.is_json() {
        return context.terminal.show(&samples);
    }
    samples.lines().try_for_each(|sample| context.terminal.show_next(&sample))
}

fn is_this_machine(context: &Context) -> bool {
    context.root == Path::new("/")
}

/// Asks nvpmodel for the power mode in force; its status file has only the mode that was last set.
fn query_power_mode(context: &Context, sample: &HardwareReading) -> Option<CurrentMode> {
    if !sample.identity.is_jetson() || sample.power.offered.is_err() {
        return None;
    }
    let control = PowerControl::below(Root::new("/"), context.layout.runtime());
    control.with_limit(NVPMODEL_TIMEOUT).current(&sample.power)
}

fn set_power_mode(sample: &mut HardwareReading, mode: Option<CurrentMode>) {
    if let Some(mode) = mode {
        sample.power.current = Ok(mode);
    }
}

/// Measures the mean power of a machine that has no rails but counts energy, as many PCs do.
fn measure_power(machine: &Hardware, sample: &mut HardwareReading) {
    if !counts_energy(sample) {
        return;
    }
    let (earlier, started) = (machine.energy(), Instant::now());
    std::thread::sleep(ENERGY_INTERVAL);
    sample.energy = machine.energy();
    sample.rails = mean_power(&earlier, &sample.energy, started.elapsed());
}

fn counts_energy(sample: &HardwareReading) -> bool {
    sample.rails == Err(WhyNot::Absent) && sample.energy.iter().flatten().next().is_some()
}

/// Returns the mean power between two readings of the energy counters, as rails.
fn mean_power(
    earlier: &Reading<Vec<EnergyCounter>>,
    later: &Reading<Vec<EnergyCounter>>,
    elapsed: Duration,
) -> Reading<Vec<bij_jetson::Rail>> {
    let counters = |reading: &Reading<Vec<EnergyCounter>>| reading.clone();
    Ok(EnergyCounter::rails(&counters(earlier)?, &counters(later)?, elapsed))
}
