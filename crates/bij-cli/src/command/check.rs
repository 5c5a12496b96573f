//! `bij check`: everything that is wrong with definitions.

mod machine;

use std::path::Path;

use bij_core::ExperimentId;
use bij_core::port::{DefinitionSource as _, FindError, Found};

use crate::args::{CheckArgs, Target};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::view::{Checked, CheckedDefinition, Finding};

/// Checks files and experiments; all experiments if none is named.
pub(crate) fn check(context: &Context, args: &CheckArgs) -> Result<(), CliError> {
    let mut checked = Vec::new();
    for target in &args.targets {
        checked.push(match target {
            Target::Experiment(id) => experiment(context, id)?,
            Target::File(path) => file(context, path)?,
        });
    }
    if args.targets.is_empty() {
        checked = everything(context)?;
    }
    if checked.is_empty() {
        context.terminal.status("No definitions.");
    }
    let checked = Checked(checked);
    context.terminal.show(&checked)?;
    match checked.0.iter().filter(|one| !one.ok).count() {
        0 => Ok(()),
        wrong => {
            let message = format!("{wrong} of {} cannot be used", checked.0.len());
            Err(CliError::new(Kind::Definition, message))
        }
    }
}

/// Whether an experiment can run as far as one can see before it is tried.
pub(super) fn must_be_runnable(context: &Context, found: &Found) -> Result<(), CliError> {
    let Some(obstacle) = obstacle(context, found) else { return Ok(()) };
    let id = &found.spec.id;
    Err(CliError::new(Kind::Definition, format!("{id} cannot run: {obstacle}"))
        .hint(format!("`bij check {id}` tells everything that is wrong with it")))
}

/// Whether an experiment can be started, if only to fail: a program that is there is executed, and the attempt
/// tells in the history why that failed.
pub(super) fn must_be_startable(context: &Context, found: &Found) -> Result<(), CliError> {
    if machine::is_only_of_contents(context, found) {
        return Ok(());
    }
    must_be_runnable(context, found)
}

/// The first of what keeps an experiment from running, as far as one can see.
pub(super) fn obstacle(context: &Context, found: &Found) -> Option<String> {
    machine::look(context, found).problems.into_iter().next().map(|problem| problem.message)
}

/// Every definition there is, and what only looks like one.
fn everything(context: &Context) -> Result<Vec<CheckedDefinition>, CliError> {
    let definitions = context.definitions();
    let mut checked = Vec::new();
    if let Err(error) = definitions.settings() {
        let source = context.layout.settings().display().to_string();
        checked.push(broken(None, source, error.problems.iter().map(Finding::from).collect()));
    }
    checked.extend(definitions.too_open().iter().map(|error| {
        let source = error.path.display().to_string();
        let finding = Finding {
            file: source.clone(),
            message: error.to_string(),
            hint: Some(error.remedy()),
            ..Finding::default()
        };
        broken(None, source, vec![finding])
    }));
    for id in definitions.ids()? {
        checked.push(experiment(context, &id)?);
    }
    for stray in definitions.strays()? {
        checked.push(CheckedDefinition {
            id: None,
            source: stray.place.file.clone(),
            ok: true,
            problems: Vec::new(),
            warnings: vec![Finding::from(&stray)],
        });
    }
    Ok(checked)
}

fn experiment(context: &Context, id: &ExperimentId) -> Result<CheckedDefinition, CliError> {
    match context.definitions().find(id) {
        Err(error @ FindError::Missing { .. }) => Err(error.into()),
        found => Ok(judged(context, Some(id), found)),
    }
}

fn file(context: &Context, path: &Path) -> Result<CheckedDefinition, CliError> {
    match context.find_file(path) {
        Err(error) => Err(error),
        Ok(found) => Ok(judged(context, None, found)),
    }
}

/// The parser's verdict, and what the parser cannot see.
fn judged(
    context: &Context,
    id: Option<&ExperimentId>,
    found: Result<Found, FindError>,
) -> CheckedDefinition {
    match found {
        Ok(found) => {
            let mut warnings: Vec<Finding> = found.warnings.iter().map(Finding::from).collect();
            let machine::Findings { problems, warnings: odd } = machine::look(context, &found);
            warnings.extend(odd);
            warnings.extend(machine::look_for_openness(&found));
            warnings.extend(machine::look_for_gpu(&found, &context.root));
            warnings.extend(machine::look_for_power(&found, &context.root));
            CheckedDefinition {
                id: Some(found.spec.id.to_string()),
                source: found.source,
                ok: problems.is_empty(),
                problems,
                warnings,
            }
        }
        Err(FindError::Invalid { id, source }) => {
            let file = source.problems.first().map(|problem| problem.place.file.clone());
            let findings = source.problems.iter().map(Finding::from).collect();
            broken(Some(id.to_string()), file.unwrap_or_default(), findings)
        }
        Err(error) => {
            let message = CliError::from(error).sentence();
            let name = id.map(ToString::to_string);
            let file = name.clone().unwrap_or_default();
            let finding = Finding { file: file.clone(), message, ..Finding::default() };
            broken(name, file, vec![finding])
        }
    }
}

fn broken(id: Option<String>, source: String, problems: Vec<Finding>) -> CheckedDefinition {
    CheckedDefinition { id, source, ok: false, problems, warnings: Vec::new() }
}
