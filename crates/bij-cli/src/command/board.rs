//! `bij board`: temperatures, clocks and load of the machine.

mod json;
mod records;
mod text;

use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bij_core::{Timestamp, error_chain};
use bij_jetson::{
    CurrentMode, EnergyCounter, Hardware, HardwareReading, PowerControl, Rail, Reading, WhyNot,
};
use clap::Args;
use serde::{Serialize, Serializer};

use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::view::{TextFormat, View};
use records::{BoardMinutes, BoardSamples};

/// The text below `bij board --help`.
const HELP: &str = "\
Readings and records are described in docs/board.md, the keys of the JSON in docs/json.md.";

/// The arguments of `bij board`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct BoardArgs {
    /// Read again each second; in a pipe or with --json, print one JSON object per line
    #[arg(short, long)]
    watch: bool,
    /// Show the newest N minutes that were recorded while an experiment ran
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    minutes: Option<usize>,
    /// Show the newest N samples of the last hour, which the coordinator keeps in memory
    #[arg(long, value_name = "N", conflicts_with_all = ["watch", "minutes"])]
    samples: Option<usize>,
}

/// The time limit for nvpmodel, which usually takes a tenth of a second.
const NVPMODEL_TIMEOUT: Duration = Duration::from_secs(5);

/// The time between two readings of an energy counter. Counters are updated every millisecond, so the error
/// is below one per cent.
const ENERGY_INTERVAL: Duration = Duration::from_millis(200);

/// Shows the machine, or a captured tree of one: once, repeatedly, or from its records.
pub(super) async fn board(context: &Context, args: &BoardArgs) -> Result<(), CliError> {
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
    let machine = Hardware::open(root)
        .map_err(|error| CliError::new(Kind::Usage, format!("--root: {}", error_chain(&error))))?;
    if args.watch {
        return watch(context, &machine);
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
    if !context.terminal.is_json() {
        return context.terminal.show(&BoardSamples(samples));
    }
    samples.iter().try_for_each(|sample| context.terminal.show_next(sample))
}

fn is_this_machine(context: &Context) -> bool {
    context.root == Path::new("/")
}

/// Asks nvpmodel for the power mode in force; its status file has only the mode that was last set.
fn query_power_mode(context: &Context, sample: &HardwareReading) -> Option<CurrentMode> {
    if !sample.identity.is_jetson() || sample.power.offered.is_err() {
        return None;
    }
    let control = PowerControl::below("/", context.layout.runtime());
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
    thread::sleep(ENERGY_INTERVAL);
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
) -> Reading<Vec<Rail>> {
    let counters = |reading: &Reading<Vec<EnergyCounter>>| reading.clone();
    Ok(EnergyCounter::rails(&counters(earlier)?, &counters(later)?, elapsed))
}

const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// nvpmodel is asked in every tenth reading only, because that starts a program.
const MODE_QUERY_INTERVAL: usize = 10;

/// Shows the machine each second until Ctrl-C or until the pipe is closed.
fn watch(context: &Context, machine: &Hardware) -> Result<(), CliError> {
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
        due = (due + WATCH_INTERVAL).max(Instant::now());
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

/// One reading of the machine: `bij board`.
#[derive(Clone, Debug)]
struct BoardPage {
    sample: HardwareReading,
    /// Whether all clocks are held at their present rates.
    clocks_held: Reading<bool>,
}

impl BoardPage {
    pub(crate) fn new(sample: &HardwareReading, clocks_held: Reading<bool>) -> Self {
        Self { sample: sample.clone(), clocks_held }
    }
}

impl Serialize for BoardPage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::JsonBoard::new(&self.sample, &self.clocks_held).serialize(serializer)
    }
}

/// One reading with its time: a line of `bij --json board --watch`.
#[derive(Clone, Debug, Serialize)]
struct TimedBoard {
    at: Timestamp,
    #[serde(flatten)]
    board: BoardPage,
}

impl TimedBoard {
    pub(crate) fn new(at: Timestamp, sample: &HardwareReading, clocks_held: Reading<bool>) -> Self {
        Self { at, board: BoardPage::new(sample, clocks_held) }
    }
}

impl View for TimedBoard {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        self.board.text(out, format)
    }
}

impl View for BoardPage {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        text::write(&self.sample, self.clocks_held == Ok(true), out, format)
    }
}

#[cfg(test)]
mod tests;
