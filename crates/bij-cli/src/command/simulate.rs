//! `bij simulate`: what the heat ladder would do.

mod model;
mod replay;
mod trace;

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use bij_coordinator::thermal::ThermalSettings;

use crate::args::SimulateArgs;
use crate::context::Context;
use crate::error::{CliError, Kind, file_error};
use crate::view::Simulated;
use trace::Trace;

/// Runs the ladder on a trace or on the model, and shows its moves.
pub(crate) fn simulate(context: &Context, args: &SimulateArgs) -> Result<(), CliError> {
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
