//! `bij start` and `bij start-all`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bij_api::Client;
use bij_core::port::{DefinitionSource as _, FindError, UnitManager as _};
use bij_core::queue::RunRef;
use bij_core::request::{EntryState, QueueEntry, Submit, SubmitOptions};
use bij_core::{ExperimentId, RunEnd};
use bij_definition::{SpecOverlay, to_toml};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::change_units::{UnitAction, apply};
use super::check::must_be_startable;
use crate::args::{IdArg, Overlay};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::queue_source::QueueWatch;
use crate::scope::Scope;
use crate::view::{Effect, UnitOutcome, UnitOutcomes, WaitingRun};
use crate::{complete, coordinator};

/// The arguments of `bij start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The experiment to start
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    id: IdArg,
    /// A configuration file for the experiment in this run
    #[arg(value_name = "CONFIG")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    overlay: Overlay,
    /// Do not wait for gates such as memory or heat
    #[arg(long)]
    now: bool,
}

/// Starts one experiment; additions hold for this run only.
pub(super) async fn start(context: &Context, args: &StartArgs) -> Result<(), CliError> {
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
        return start_by_submission(context, &client, submission).await;
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
pub(super) async fn start_all(context: &Context) -> Result<(), CliError> {
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

/// How long to wait until the run is up or waits for a gate.
const DECISION_TIMEOUT: Duration = Duration::from_secs(30);

/// Submits a run and returns when it is up, over, or waits for a gate.
async fn start_by_submission(
    context: &Context,
    client: &Client,
    submission: Submit,
) -> Result<(), CliError> {
    let id = submission.experiment.clone();
    let mut watch = QueueWatch::start(context).await?;
    let submitted = client.submit(&[submission], SubmitOptions::default()).await?;
    let Some(entry) = submitted.into_iter().next() else {
        return Err(CliError::new(Kind::Internal, "the coordinator has queued no run"));
    };
    let run = RunRef::Run(entry.id());
    let settled = async {
        loop {
            let entry = watch.why(&run).await?.entry;
            if is_settled(&entry) {
                return Ok::<QueueEntry, CliError>(entry);
            }
            watch.wait().await;
        }
    };
    // After the time-out the run is reported as it was submitted: it is in the queue.
    let entry = tokio::time::timeout(DECISION_TIMEOUT, settled).await.unwrap_or(Ok(entry))?;
    report(context, id, entry)
}

/// Returns whether a run is up, over, held, or waits for a known gate.
fn is_settled(entry: &QueueEntry) -> bool {
    match entry.state {
        EntryState::Running | EntryState::Ended | EntryState::Held => true,
        EntryState::Waiting => !entry.waiting_on.is_empty(),
        EntryState::Starting => false,
    }
}

fn report(context: &Context, id: ExperimentId, entry: QueueEntry) -> Result<(), CliError> {
    let run = entry.id();
    let failed = match (entry.state, entry.ended) {
        (EntryState::Ended, Some(end @ (RunEnd::GaveUp | RunEnd::Never | RunEnd::Cancelled))) => {
            Some(
                CliError::new(Kind::Failed, format!("{run} ended: {end}"))
                    .hint(format!("see `bij status {id}` and `bij logs {id}`")),
            )
        }
        (
            EntryState::Ended
            | EntryState::Running
            | EntryState::Starting
            | EntryState::Waiting
            | EntryState::Held,
            _,
        ) => None,
    };
    let (effect, queued) = match entry.state {
        _ if failed.is_some() => (Effect::Failed, None),
        EntryState::Running | EntryState::Ended => (Effect::Changed, None),
        EntryState::Starting | EntryState::Waiting | EntryState::Held => {
            (Effect::Skipped, Some(WaitingRun::from(entry)))
        }
    };
    match (&queued, effect) {
        (Some(queued), _) => {
            context.terminal.status(&format!("{id}: queued as {}", queued.sentence()));
        }
        (None, Effect::Changed) => context.terminal.status(&format!("{id}: started as {run}")),
        (None, Effect::Unchanged | Effect::Skipped | Effect::Failed) => {}
    }
    let error = failed.as_ref().map(CliError::sentence);
    context.terminal.show(&UnitOutcomes(vec![UnitOutcome { id, effect, error, queued }]))?;
    failed.map_or(Ok(()), Err)
}
