//! `bij start` and `bij start-all`.

mod submission;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bij_core::ExperimentId;
use bij_core::port::{DefinitionSource as _, FindError, UnitManager as _};
use bij_core::request::Submit;
use bij_definition::{SpecOverlay, to_toml};

use super::check::must_be_startable;
use super::unit_action::{UnitAction, apply};
use crate::args::{IdArg, StartArgs};
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::scope::Scope;

/// Starts one experiment; additions hold for this run only.
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
            define_from_config(context, id, &config)?;
        } else {
            let text = config.to_string_lossy();
            extras
                .set_config(&text)
                .map_err(|problem| CliError::new(Kind::Definition, problem.to_string()))?;
        }
    }
    let found = context.definitions().find_with(id, &extras)?;
    context.warn_about_definition(&found);
    must_be_startable(context, &found)?;
    context.warn_about_lingering();
    let unit = context.units().await?.status(id).await?;
    let up = !unit.active_state.is_down();
    if up && !extras.is_empty() {
        return Err(CliError::new(
            Kind::Failed,
            format!("{id} is already up; additions would hold for its next run only"),
        )
        .hint(format!("`{} stop {id}`, then start it again", context.bij_command)));
    }
    // Only a submission can have additions or ignore gates; without systemd a start is always a submission.
    let must_submit = *now || !extras.is_empty() || context.scope == Scope::Local;
    if let Some(client) = coordinator.filter(|_| must_submit && !up) {
        let extras = if extras.is_empty() { String::new() } else { extras.to_toml() };
        let submission = Submit { extras, now: *now, ..Submit::new(id.clone()) };
        return submission::start(context, &client, submission).await;
    }
    if !up {
        set_extras(context, id, &extras)?;
    }
    let started = apply(context, UnitAction::Start, std::slice::from_ref(id)).await;
    if matches!(&started, Err(error) if error.kind != Kind::Failed) && !extras.is_empty() {
        // The start was not requested, so the additions must not apply to the next start.
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
        context.terminal.hint("`bij enable ID` makes `start-all` and the boot start an experiment");
    }
    context.warn_about_lingering();
    apply(context, UnitAction::Start, &ids).await
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

/// Returns the absolute path of the config file, because the experiment runs in another directory.
fn config_file(path: &Path) -> Result<PathBuf, CliError> {
    let unusable = |why: &dyn std::fmt::Display| {
        CliError::new(Kind::Definition, format!("cannot use the config {}: {why}", path.display()))
            .hint("CONFIG is a file; to start several experiments, call `bij start` for each")
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

/// Defines an experiment by its config file alone, as in the older tool.
fn define_from_config(context: &Context, id: &ExperimentId, config: &Path) -> Result<(), CliError> {
    let mut found = context.definitions().find_file(config)?;
    found.spec.id = id.clone();
    context.definitions().submit(id, &to_toml(&found.spec))?;
    context.terminal.status(&format!("{id}: defined by {}", found.source));
    Ok(())
}

fn set_extras(context: &Context, id: &ExperimentId, extras: &SpecOverlay) -> Result<(), CliError> {
    if extras.is_empty() {
        match context.definitions().extras(id) {
            // There is nothing to remove, so the caller needs no right to write.
            Ok(None) => return Ok(()),
            // The file is root's. For other callers the coordinator starts the unit and sets the additions.
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
