//! `bij simulate`: what the thermal ladder would do.

mod model;
mod page;
mod replay;
mod trace;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bij_coordinator::thermal::ThermalSettings;
use bij_coordinator::thermal::model::{FanModel, Workload};
use bij_core::Celsius;
use clap::Args;

use crate::context::Context;
use crate::error::{CliError, Kind, file_error};
use page::Simulated;
use trace::Trace;

/// The text below `bij simulate --help`.
const HELP: &str = "\
A TRACE has lines of seconds,zone,celsius, or the lines that `bij board --watch` prints in a pipe.
FAN is none, weak or strong; LOAD is constant, pair, many-small, huge-and-small, short-bursts,
long-bursts, ramp, sawtooth, random, queue, training, inference or training-and-huge.
The thermal ladder is described in docs/board.md.";

/// The arguments of `bij simulate`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SimulateArgs {
    /// A recorded trace; `-` is the standard input
    #[arg(
        value_name = "TRACE",
        required_unless_present = "model",
        conflicts_with_all = ["model", "hours"]
    )]
    trace: Option<PathBuf>,
    /// Simulate a board with this fan under this load, instead of replaying a trace
    #[arg(long, num_args = 2, value_names = ["FAN", "LOAD"])]
    model: Option<Vec<String>>,
    /// Simulate N hours
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=48))]
    hours: u8,
    /// Throttle experiments from this temperature on, instead of the one in the settings
    #[arg(long, value_name = "CELSIUS", value_parser = parse_celsius)]
    throttle: Option<Celsius>,
    /// Stop all experiments from this temperature on, instead of the one in the settings
    #[arg(long, value_name = "CELSIUS", value_parser = parse_celsius)]
    critical: Option<Celsius>,
    /// Replay the trace to N experiments, which share all processors
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "model", value_parser = clap::value_parser!(u8).range(1..=99))]
    experiments: u8,
}

impl SimulateArgs {
    /// Returns the fan and the load of the model, if `--model` is given; or why a name is not known.
    pub(crate) fn model(&self) -> Option<Result<(FanModel, Workload), String>> {
        let [fan, load] = self.model.as_deref()? else { return None };
        let fan = fan.parse::<FanModel>().map_err(|error| error.to_string());
        let load = load.parse::<Workload>().map_err(|error| error.to_string());
        Some(fan.and_then(|fan| Ok((fan, load?))))
    }
}

/// Parses a threshold; its range is that of the settings.
fn parse_celsius(text: &str) -> Result<Celsius, String> {
    let degrees = text.parse::<f64>().ok().filter(|degrees| (20.0..=125.0).contains(degrees));
    degrees
        .map(Celsius::from_degrees)
        .ok_or_else(|| "expected degrees Celsius from 20 to 125, such as 80".to_owned())
}

/// Runs the ladder on a trace or on the model, and shows its moves.
pub(super) fn simulate(context: &Context, args: &SimulateArgs) -> Result<(), CliError> {
    let settings = thresholds(context, args)?;
    let simulated = match (args.model(), &args.trace) {
        (Some(Ok((fan, load))), _) => model::simulate(fan, load, args.hours, settings),
        (Some(Err(unknown)), _) => return Err(CliError::new(Kind::Usage, unknown)),
        (None, Some(path)) => replay::replay(&read(path)?, args.experiments, settings),
        (None, None) => {
            return Err(CliError::new(Kind::Usage, "neither a trace nor a model is given"));
        }
    };
    show(context, &simulated)
}

fn show(context: &Context, simulated: &Simulated) -> Result<(), CliError> {
    if context.terminal.is_json() {
        return simulated.lines().iter().try_for_each(|line| context.terminal.show_next(line));
    }
    context.terminal.show(simulated)
}

/// Returns the thresholds of the options, else those of the settings.
fn thresholds(context: &Context, args: &SimulateArgs) -> Result<ThermalSettings, CliError> {
    let settings = context.definitions().settings();
    let (settings, _) = settings.map_err(|error| {
        CliError::from_definition(
            "the settings of the coordinator have an error".to_owned(),
            &error,
        )
    })?;
    let settings = settings.coordinator;
    let throttle = args.throttle.unwrap_or_else(|| settings.throttle());
    let critical = args.critical.unwrap_or_else(|| settings.critical());
    ThermalSettings::new(throttle, critical, settings.temperature_interval()).map_err(|error| {
        CliError::from_error(Kind::Usage, &error).hint("for example: --throttle 75 --critical 85")
    })
}

fn read(path: &Path) -> Result<Trace, CliError> {
    let (name, text) = if path == Path::new("-") {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text).map(|_| text);
        ("the standard input".to_owned(), read)
    } else {
        (path.display().to_string(), fs::read_to_string(path))
    };
    let text = text.map_err(|error| file_error(&format!("read {name}"), &error))?;
    Trace::parse(&text).map_err(|error| {
        CliError::new(Kind::Definition, format!("{name}:{}: {}", error.line, error.message))
            .hint("docs/board.md describes the lines of a trace")
    })
}
