//! The arguments of `bij simulate`.

use std::path::PathBuf;

use bij_coordinator::thermal::model::{FanModel, Workload};
use bij_core::Celsius;
use clap::Args;

use super::help;

/// The arguments of `bij simulate`.
#[derive(Debug, Args)]
#[command(after_help = help::SIMULATE)]
pub(crate) struct SimulateArgs {
    /// A recorded trace; `-` is the standard input
    #[arg(
        value_name = "TRACE",
        required_unless_present = "model",
        conflicts_with_all = ["model", "hours"]
    )]
    pub(crate) trace: Option<PathBuf>,
    /// Simulate a board with this fan under this load, instead of replaying a trace
    #[arg(long, num_args = 2, value_names = ["FAN", "LOAD"])]
    pub(crate) model: Option<Vec<String>>,
    /// Simulate N hours
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=48))]
    pub(crate) hours: u8,
    /// Throttle experiments from this temperature on, instead of the one in the settings
    #[arg(long, value_name = "CELSIUS", value_parser = parse_celsius)]
    pub(crate) throttle: Option<Celsius>,
    /// Stop all experiments from this temperature on, instead of the one in the settings
    #[arg(long, value_name = "CELSIUS", value_parser = parse_celsius)]
    pub(crate) critical: Option<Celsius>,
    /// Replay the trace to N experiments, which share all processors
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "model", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) experiments: u8,
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
