//! From what was typed to runs, with nothing written yet.

use std::collections::BTreeSet;

use bij_core::ExperimentId;
use bij_core::definition::{ExperimentSpec, SpecOverlay};
use bij_core::port::{FindError, Found};

use crate::args::{IdArg, SubmitArgs, Target};
use crate::command::check::must_be_runnable;
use crate::command::run::prepare::{Plan, ad_hoc, file};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::sweep::{Sweep, SweepError};
use crate::view::DryRun;

/// A run that is to be submitted.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) spec: ExperimentSpec,
    pub(super) defined: Defined,
    /// What holds for this run only.
    overlay: SpecOverlay,
    /// The values that it has in a sweep.
    parameters: Vec<(String, String)>,
    /// The experiment of which it is a variation, if that is defined.
    base: Option<ExperimentId>,
}

/// What is to become of the definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defined {
    /// It is there.
    Already,
    /// It is to be taken in under its name.
    Named,
    /// It is to be taken in under a made name.
    Unnamed,
}

impl Planned {
    fn plain(Plan { spec, defined }: Plan, overlay: &SpecOverlay) -> Self {
        let defined = if defined { Defined::Already } else { Defined::Named };
        Self { spec, defined, overlay: overlay.clone(), parameters: Vec::new(), base: None }
    }

    /// An experiment that the coordinator can be asked about before anything is written.
    pub(super) fn known_as(&self) -> Option<&ExperimentId> {
        match self.defined {
            Defined::Already => Some(&self.spec.id),
            Defined::Named | Defined::Unnamed => self.base.as_ref(),
        }
    }

    /// What holds for this run only, as TOML; empty for nothing.
    pub(super) fn extras(&self) -> String {
        toml(&self.overlay)
    }

    /// What has to be laid over [`known_as`](Self::known_as) for it to claim what this one will.
    pub(super) fn extras_if_known(&self) -> String {
        let mut overlay = self.overlay.clone();
        for (name, value) in &self.parameters {
            if !overlay.environment().contains_key(name) {
                // Each was tried when the sweep was made.
                let _ = overlay.add_environment(&format!("{name}={value}"));
            }
        }
        toml(&overlay)
    }

    /// What is shown of it before it is submitted.
    pub(super) fn view(&self) -> DryRun {
        DryRun {
            experiment: (self.defined != Defined::Unnamed).then(|| self.spec.id.clone()),
            defined: self.defined == Defined::Already,
            parameters: self.parameters.iter().cloned().collect(),
            command: self.spec.command.clone(),
        }
    }
}

fn toml(overlay: &SpecOverlay) -> String {
    if overlay.is_empty() { String::new() } else { overlay.to_toml() }
}

/// Everything that is to be submitted, in the order given.
pub(super) fn plan(context: &Context, args: &SubmitArgs) -> Result<Vec<Planned>, CliError> {
    let sweep = Sweep::new(args.params.clone()).map_err(|error| wrong(&error))?;
    let overlay = args.overlay.spec()?;
    let name = args.name.as_ref().map(|IdArg(id)| id);
    if name.is_some() && args.targets.len() > 1 {
        return Err(CliError::new(Kind::Usage, "--name is for one command, file or sweep"));
    }
    let mut planned = Vec::new();
    if !args.command.is_empty() {
        planned.extend(of_command(context, args, name, &overlay, &sweep)?);
    }
    for target in &args.targets {
        planned.extend(of_target(context, target, name, &overlay, &sweep)?);
        if planned.len() > crate::sweep::MOST && !sweep.is_empty() {
            return Err(wrong(&SweepError::TooMany { count: Some(planned.len()) }));
        }
    }
    no_clash(context, &planned)?;
    Ok(planned)
}

fn wrong(error: &SweepError) -> CliError {
    CliError::of(Kind::Usage, error)
}

fn of_command(
    context: &Context,
    args: &SubmitArgs,
    name: Option<&ExperimentId>,
    overlay: &SpecOverlay,
    sweep: &Sweep,
) -> Result<Vec<Planned>, CliError> {
    // Its limits are its own: they become a part of its definition.
    let spec = ad_hoc(context, &args.command, name, overlay, &args.shell)?;
    if sweep.is_empty() {
        let defined = if name.is_some() { Defined::Named } else { Defined::Unnamed };
        let nothing = SpecOverlay::default();
        return Ok(vec![Planned {
            defined,
            ..Planned::plain(Plan { spec, defined: false }, &nothing)
        }]);
    }
    let Some(name) = name else {
        return Err(CliError::new(Kind::Usage, "a sweep of a command needs a name")
            .hint("--name ID makes the experiments ID.1, ID.2, …"));
    };
    members(context, &spec, name, None, &SpecOverlay::default(), sweep)
}

fn of_target(
    context: &Context,
    target: &Target,
    name: Option<&ExperimentId>,
    overlay: &SpecOverlay,
    sweep: &Sweep,
) -> Result<Vec<Planned>, CliError> {
    match target {
        Target::Experiment(id) if sweep.is_empty() && name.is_some() => {
            Err(CliError::new(Kind::Usage, format!("{id} has its name already"))
                .hint("--name is for a command, a file or a sweep"))
        }
        Target::Experiment(id) if sweep.is_empty() => {
            let plan = Plan::of(context, context.definitions().find_with(id, overlay)?, true)?;
            Ok(vec![Planned::plain(plan, overlay)])
        }
        Target::Experiment(id) => {
            let base = context.definitions().find_with(id, &SpecOverlay::default())?;
            context.warn_of(&base);
            members(context, &base.spec, name.unwrap_or(id), Some(id), overlay, sweep)
        }
        Target::File(path) if sweep.is_empty() => {
            Ok(vec![Planned::plain(file(context, path, name)?, overlay)])
        }
        Target::File(path) => {
            let base = context.find_file(path)??;
            context.warn_of(&base);
            let spec = &base.spec;
            members(context, spec, name.unwrap_or(&spec.id), None, overlay, sweep)
        }
    }
}

/// The experiments of a sweep, each of which can be run as far as one can see.
fn members(
    context: &Context,
    base: &ExperimentSpec,
    name: &ExperimentId,
    known: Option<&ExperimentId>,
    overlay: &SpecOverlay,
    sweep: &Sweep,
) -> Result<Vec<Planned>, CliError> {
    let specs = sweep.members(base, name).map_err(|error| wrong(&error))?;
    let combinations = sweep.combinations();
    let both = specs.into_iter().zip(combinations);
    both.map(|(spec, combination)| {
        let found =
            Found { spec, source: String::new(), stamp: String::new(), warnings: Vec::new() };
        must_be_runnable(context, &found)?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Planned {
            parameters: combination.into_iter().map(owned).collect(),
            base: known.cloned(),
            ..Planned::plain(Plan { spec: found.spec, defined: false }, overlay)
        })
    })
    .collect()
}

/// No two of them have one name, and none takes the name of somebody else's experiment: what was
/// submitted under it runs on under that definition.
fn no_clash(context: &Context, planned: &[Planned]) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    for one in planned {
        let id = &one.spec.id;
        if one.defined == Defined::Unnamed {
            continue;
        }
        if !seen.insert(id) && !one.parameters.is_empty() {
            return Err(CliError::new(Kind::Usage, format!("{id} would be made twice")));
        }
        if one.parameters.is_empty() || is_free(context, one)? {
            continue;
        }
        return Err(CliError::new(
            Kind::Definition,
            format!("{id} is defined already, and otherwise"),
        )
        .hint("--name ID names the experiments of this sweep ID.1, ID.2, …"));
    }
    Ok(())
}

/// Whether nobody has the name, or an earlier sweep made the very same of it.
fn is_free(context: &Context, one: &Planned) -> Result<bool, CliError> {
    let definitions = context.definitions();
    match definitions.find_with(&one.spec.id, &SpecOverlay::default()) {
        Err(FindError::Missing { .. }) => Ok(true),
        Ok(found) => Ok(found.spec.to_toml() == one.spec.to_toml()),
        Err(error) => Err(error.into()),
    }
}
