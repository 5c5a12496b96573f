//! Plans the runs of a submission; writes nothing.

use std::collections::BTreeSet;

use bij_core::ExperimentId;
use bij_core::port::{FindError, FoundDefinition};
use bij_core::spec::ExperimentSpec;
use bij_definition::SpecOverlay;

use super::sweep::{MAX_COMBINATIONS, Sweep, SweepError};
use super::{DryRun, SubmitArgs};
use crate::args::{IdArg, TargetArg};
use crate::command::check::must_be_runnable;
use crate::command::planned_experiment::{PlannedExperiment, ad_hoc, from_file};
use crate::context::Context;
use crate::error::{CliError, Kind};

/// A run that will be submitted.
#[derive(Clone, Debug)]
pub(super) struct PlannedRun {
    pub(super) spec: ExperimentSpec,
    pub(super) definition: DefinitionState,
    /// Additions that hold for this run only.
    overlay: SpecOverlay,
    /// Its parameter values in a sweep.
    parameters: Vec<(String, String)>,
    /// The defined experiment that the sweep varies, if any.
    base: Option<ExperimentId>,
}

/// Whether and how the definition of a run must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefinitionState {
    /// The definition exists already.
    Existing,
    /// It will be written under its id.
    Named,
    /// It will be written under a generated id.
    Unnamed,
}

impl PlannedRun {
    fn new(experiment: PlannedExperiment, overlay: &SpecOverlay) -> Self {
        let PlannedExperiment { spec, is_defined } = experiment;
        let definition =
            if is_defined { DefinitionState::Existing } else { DefinitionState::Named };
        Self { spec, definition, overlay: overlay.clone(), parameters: Vec::new(), base: None }
    }

    /// Returns a defined experiment that the coordinator can check in a dry run: the run's own, or the base of its
    /// sweep.
    pub(super) fn known_as(&self) -> Option<&ExperimentId> {
        match self.definition {
            DefinitionState::Existing => Some(&self.spec.id),
            DefinitionState::Named | DefinitionState::Unnamed => self.base.as_ref(),
        }
    }

    /// Returns the additions for this run as TOML; empty if there are none.
    pub(super) fn extras(&self) -> String {
        to_toml(&self.overlay)
    }

    /// Returns the additions to [`known_as`](Self::known_as) with which it claims the same resources as this run.
    pub(super) fn extras_if_known(&self) -> String {
        let mut overlay = self.overlay.clone();
        for (name, value) in &self.parameters {
            if !overlay.environment().contains_key(name) {
                // Each was checked when the sweep was made.
                let _ = overlay.add_environment(&format!("{name}={value}"));
            }
        }
        to_toml(&overlay)
    }

    /// Returns the row of the run in a dry run.
    pub(super) fn view(&self) -> DryRun {
        let is_named = self.definition != DefinitionState::Unnamed;
        DryRun {
            experiment: is_named.then(|| self.spec.id.clone()),
            defined: self.definition == DefinitionState::Existing,
            parameters: self.parameters.iter().cloned().collect(),
            command: self.spec.command.clone(),
        }
    }
}

fn to_toml(overlay: &SpecOverlay) -> String {
    if overlay.is_empty() { String::new() } else { overlay.to_toml() }
}

/// Returns the runs to submit, in the given order.
pub(super) fn plan(context: &Context, args: &SubmitArgs) -> Result<Vec<PlannedRun>, CliError> {
    let sweep = Sweep::new(args.params.clone()).map_err(|error| usage_error(&error))?;
    let overlay = args.overlay.spec()?;
    let name = args.name.as_ref().map(|IdArg(id)| id);
    if name.is_some() && args.targets.len() > 1 {
        return Err(CliError::new(Kind::Usage, "--name is for one command, file or sweep"));
    }
    let mut planned = Vec::new();
    if !args.command.is_empty() {
        planned.extend(from_command(context, args, name, &overlay, &sweep)?);
    }
    for target in &args.targets {
        planned.extend(from_target(context, target, name, &overlay, &sweep)?);
        if planned.len() > MAX_COMBINATIONS && !sweep.is_empty() {
            return Err(usage_error(&SweepError::TooMany { count: Some(planned.len()) }));
        }
    }
    must_not_clash(context, &planned)?;
    Ok(planned)
}

fn usage_error(error: &SweepError) -> CliError {
    CliError::from_error(Kind::Usage, error)
}

fn from_command(
    context: &Context,
    args: &SubmitArgs,
    name: Option<&ExperimentId>,
    overlay: &SpecOverlay,
    sweep: &Sweep,
) -> Result<Vec<PlannedRun>, CliError> {
    // The additions become a part of the command's definition.
    let spec = ad_hoc(context, &args.command, name, overlay, &args.shell)?;
    if sweep.is_empty() {
        let definition =
            if name.is_some() { DefinitionState::Named } else { DefinitionState::Unnamed };
        let experiment = PlannedExperiment { spec, is_defined: false };
        let run = PlannedRun::new(experiment, &SpecOverlay::default());
        return Ok(vec![PlannedRun { definition, ..run }]);
    }
    let Some(name) = name else {
        return Err(CliError::new(Kind::Usage, "a sweep of a command needs a name")
            .hint("--name ID makes the experiments ID.1, ID.2, …"));
    };
    members(context, &spec, name, None, &SpecOverlay::default(), sweep)
}

fn from_target(
    context: &Context,
    target: &TargetArg,
    name: Option<&ExperimentId>,
    overlay: &SpecOverlay,
    sweep: &Sweep,
) -> Result<Vec<PlannedRun>, CliError> {
    match target {
        TargetArg::Experiment(id) if sweep.is_empty() && name.is_some() => {
            Err(CliError::new(Kind::Usage, format!("{id} already has a name"))
                .hint("--name is for a command, a file or a sweep"))
        }
        TargetArg::Experiment(id) if sweep.is_empty() => {
            let found = context.definitions().find_with(id, overlay)?;
            Ok(vec![PlannedRun::new(PlannedExperiment::new(context, found, true)?, overlay)])
        }
        TargetArg::Experiment(id) => {
            let base = context.definitions().find_with(id, &SpecOverlay::default())?;
            context.warn_about_definition(&base);
            members(context, &base.spec, name.unwrap_or(id), Some(id), overlay, sweep)
        }
        TargetArg::File(path) if sweep.is_empty() => {
            Ok(vec![PlannedRun::new(from_file(context, path, name)?, overlay)])
        }
        TargetArg::File(path) => {
            let base = context.find_file(path)??;
            context.warn_about_definition(&base);
            let spec = &base.spec;
            members(context, spec, name.unwrap_or(&spec.id), None, overlay, sweep)
        }
    }
}

/// Returns the runs of a sweep; fails if one of their experiments cannot run.
fn members(
    context: &Context,
    base: &ExperimentSpec,
    name: &ExperimentId,
    known: Option<&ExperimentId>,
    overlay: &SpecOverlay,
    sweep: &Sweep,
) -> Result<Vec<PlannedRun>, CliError> {
    let specs = sweep.members(base, name).map_err(|error| usage_error(&error))?;
    let members = specs.into_iter().zip(sweep.combinations());
    members
        .map(|(spec, combination)| {
            let found = FoundDefinition {
                spec,
                source: String::new(),
                stamp: String::new(),
                warnings: Vec::new(),
            };
            must_be_runnable(context, &found)?;
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let experiment = PlannedExperiment { spec: found.spec, is_defined: false };
            Ok(PlannedRun {
                parameters: combination.into_iter().map(owned).collect(),
                base: known.cloned(),
                ..PlannedRun::new(experiment, overlay)
            })
        })
        .collect()
}

/// Fails if two runs of sweeps have the same id, or if an id belongs to an experiment with another definition, whose
/// runs would change.
fn must_not_clash(context: &Context, planned: &[PlannedRun]) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    for run in planned {
        let id = &run.spec.id;
        if run.definition == DefinitionState::Unnamed {
            continue;
        }
        if !seen.insert(id) && !run.parameters.is_empty() {
            return Err(CliError::new(Kind::Usage, format!("{id} would be defined twice")));
        }
        if run.parameters.is_empty() || is_free(context, run)? {
            continue;
        }
        return Err(CliError::new(
            Kind::Definition,
            format!("{id} is already defined, with another definition"),
        )
        .hint("--name ID names the experiments of this sweep ID.1, ID.2, …"));
    }
    Ok(())
}

/// Returns whether the id is not in use, or has the same definition from an earlier sweep.
fn is_free(context: &Context, run: &PlannedRun) -> Result<bool, CliError> {
    let definitions = context.definitions();
    match definitions.find_with(&run.spec.id, &SpecOverlay::default()) {
        Err(FindError::Missing { .. }) => Ok(true),
        Ok(found) => Ok(bij_definition::to_toml(&found.spec) == bij_definition::to_toml(&run.spec)),
        Err(error) => Err(error.into()),
    }
}
