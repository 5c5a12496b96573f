//! `bij start` and `bij start-all`.

mod through_queue;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bij_api::message::Submit;
use bij_core::ExperimentId;
use bij_core::definition::SpecOverlay;
use bij_core::port::{DefinitionSource as _, FindError, UnitManager as _};

use super::act::{Act, act};
use super::check::must_be_startable;
use crate::args::{IdArg, StartArgs};
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::scope::Scope;

/// Starts one experiment; what is added holds for this run only.
pub(crate) async fn start(context: &Context, args: &StartArgs) -> Result<(), CliError> {
    let IdArg(id) = &args.id;
    let StartArgs { id: _, config, overlay, now } = args;
    let mut extras = overlay.spec()?;
    let coordinator = coordinator::connect_if_any(context).await?;
    if coordinator.is_none() {
        must_be_resident(context, id)?;
    }
    if let Some(config) = config {
        let config = config_file(config)?;
        if is_undefined(context, id) {
            take_in(context, id, &config)?;
        } else {
            let text = config.to_string_lossy();
            extras
                .set_config(&text)
                .map_err(|problem| CliError::new(Kind::Definition, problem.to_string()))?;
        }
    }
    let found = context.definitions().find_with(id, &extras)?;
    context.warn_of(&found);
    must_be_startable(context, &found)?;
    context.warn_of_lingering();
    let unit = context.units().await?.status(id).await?;
    let up = !unit.active_state.is_down();
    if up && !extras.is_empty() {
        return Err(CliError::new(
            Kind::Failed,
            format!("{id} is already up; what you add would only hold for its next run"),
        )
        .hint(format!("`{} stop {id}`, then start it again", context.again)));
    }
    // What a plain start cannot say, a submission can; without systemd there is no other start.
    let says_more = *now || !extras.is_empty() || context.scope == Scope::Local;
    if let Some(client) = coordinator.filter(|_| says_more && !up) {
        let extras = if extras.is_empty() { String::new() } else { extras.to_toml() };
        let submission = Submit { extras, now: *now, ..Submit::new(id.clone()) };
        return through_queue::start(context, &client, submission).await;
    }
    if !up {
        set_extras(context, id, &extras)?;
    }
    let started = act(context, Act::Start, std::slice::from_ref(id)).await;
    if matches!(&started, Err(error) if error.kind != Kind::Failed) && !extras.is_empty() {
        // Nobody started it: the next start must not find them.
        set_extras(context, id, &SpecOverlay::default())?;
    }
    started
}

/// Starts every experiment that is enabled, as starting `brain-experiment.target` does.
pub(crate) async fn start_all(context: &Context) -> Result<(), CliError> {
    if context.scope == Scope::Local {
        return Err(not_resident("start-all", "bij run ID…"));
    }
    let units = context.units().await?.list().await?;
    let enabled = units.into_iter().filter(|unit| unit.enabled == Some(true));
    let ids: Vec<ExperimentId> = enabled.map(|unit| unit.id).collect();
    if ids.is_empty() {
        context.terminal.status("No experiment is enabled.");
        context.terminal.hint("bij enable ID makes one of those that start-all and boot start");
    }
    context.warn_of_lingering();
    act(context, Act::Start, &ids).await
}

fn must_be_resident(context: &Context, id: &ExperimentId) -> Result<(), CliError> {
    match context.scope {
        Scope::Local => Err(not_resident("start", &format!("bij run {id}"))),
        Scope::System | Scope::User => Ok(()),
    }
}

fn not_resident(verb: &str, instead: &str) -> CliError {
    CliError::new(
        Kind::Unsupported,
        format!("`{verb}` needs a resident manager, and systemd does not run here"),
    )
    .hint(format!("`{instead}` supervises in the foreground"))
}

/// The config file by a path that holds wherever the experiment runs.
fn config_file(path: &Path) -> Result<PathBuf, CliError> {
    let unusable = |why: &dyn std::fmt::Display| {
        CliError::new(Kind::Definition, format!("cannot use the config {}: {why}", path.display()))
            .hint("CONFIG is a file; to start several experiments call `bij start` for each")
    };
    let absolute = path.canonicalize().map_err(|error| unusable(&error))?;
    if !absolute.is_file() {
        return Err(unusable(&"it is not a regular file"));
    }
    Ok(absolute)
}

fn is_undefined(context: &Context, id: &ExperimentId) -> bool {
    matches!(context.definitions().find(id), Err(FindError::Missing { .. }))
}

/// The older tool's form: the experiment is nothing but its config file.
fn take_in(context: &Context, id: &ExperimentId, config: &Path) -> Result<(), CliError> {
    let mut found = context.definitions().find_file(config)?;
    found.spec.id = id.clone();
    context.definitions().submit(id, &found.spec.to_toml())?;
    context.terminal.status(&format!("{id}: defined by {}", found.source));
    Ok(())
}

fn set_extras(context: &Context, id: &ExperimentId, extras: &SpecOverlay) -> Result<(), CliError> {
    if extras.is_empty() {
        match context.definitions().extras(id) {
            // Nothing to write, so no right to write is needed.
            Ok(None) => return Ok(()),
            // They are root's. For other callers the coordinator starts the unit, and hands over what holds.
            Err(FindError::Unreadable { source, .. })
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                return Ok(());
            }
            Ok(Some(_)) | Err(_) => {}
        }
    }
    context.definitions().set_extras(id, extras)?;
    Ok(())
}
