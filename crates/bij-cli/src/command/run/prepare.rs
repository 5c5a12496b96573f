//! From what was typed to experiments that are defined.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bij_core::ExperimentId;
use bij_core::caller_environment::TOOLS;
use bij_core::definition::{ExperimentSpec, SpecOverlay};
use bij_core::port::{DefinitionSource as _, Found};

use crate::args::{IdArg, RunArgs, ShellArgs, Target};
use crate::command::check::{must_be_runnable, obstacle};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::scope::Scope;

/// The experiments to run, in the order given; each is defined, and can be run as far as one can
/// see before it is tried. Nothing has been changed if this fails.
pub(super) fn prepare(context: &Context, args: &RunArgs) -> Result<Vec<ExperimentId>, CliError> {
    let overlay = args.overlay.spec()?;
    let name = args.name.as_ref().map(|IdArg(id)| id);
    if name.is_some() && args.targets.len() > 1 {
        return Err(CliError::new(Kind::Usage, "--name is for one command or one file"));
    }
    if !args.command.is_empty() {
        return Ok(vec![command(context, args, name, &overlay)?]);
    }
    let mut plans = Vec::new();
    for target in &args.targets {
        plans.push(match target {
            Target::Experiment(id) => {
                if name.is_some() {
                    return Err(CliError::new(Kind::Usage, format!("{id} has its name already"))
                        .hint("--name is for a command or a file"));
                }
                Plan::of(context, context.definitions().find_with(id, &overlay)?, true)?
            }
            Target::File(path) => file(context, path, name)?,
        });
    }
    let mut ids: Vec<ExperimentId> = Vec::new();
    for Plan { spec, defined } in plans {
        if !defined {
            context.definitions().submit(&spec.id, &spec.to_toml())?;
        }
        if !overlay.is_empty() || context.definitions().extras(&spec.id)?.is_some() {
            context.definitions().set_extras(&spec.id, &overlay)?;
        }
        if !ids.contains(&spec.id) {
            ids.push(spec.id);
        }
    }
    Ok(ids)
}

/// One experiment, and whether it is defined already.
pub(in crate::command) struct Plan {
    pub(in crate::command) spec: ExperimentSpec,
    pub(in crate::command) defined: bool,
}

impl Plan {
    /// Plans what was found, and tells what is odd about it.
    pub(in crate::command) fn of(
        context: &Context,
        found: Found,
        defined: bool,
    ) -> Result<Self, CliError> {
        context.warn_of(&found);
        must_be_runnable(context, &found)?;
        Ok(Self { spec: found.spec, defined })
    }
}

/// A definition in a file. One that lies where definitions are looked for is left there.
pub(in crate::command) fn file(
    context: &Context,
    path: &Path,
    name: Option<&ExperimentId>,
) -> Result<Plan, CliError> {
    let mut found = context.find_file(path)??;
    if let Some(name) = name {
        found.spec.id = name.clone();
    }
    let own = context.definitions().find(&found.spec.id);
    let defined = own.is_ok_and(|own| own.source == found.source);
    Plan::of(context, found, defined)
}

/// A command becomes a definition, under a made name if it is given none.
fn command(
    context: &Context,
    args: &RunArgs,
    name: Option<&ExperimentId>,
    overlay: &SpecOverlay,
) -> Result<ExperimentId, CliError> {
    let spec = ad_hoc(context, &args.command, name, overlay, &args.shell)?;
    if name.is_some() {
        context.definitions().submit(&spec.id, &spec.to_toml())?;
        return Ok(spec.id);
    }
    Ok(context.definitions().submit_ad_hoc(spec)?.id)
}

/// The definition that a command becomes; nothing is written. Without a name its id is a stopgap.
pub(in crate::command) fn ad_hoc(
    context: &Context,
    words: &[String],
    name: Option<&ExperimentId>,
    overlay: &SpecOverlay,
    shell: &ShellArgs,
) -> Result<ExperimentSpec, CliError> {
    let mut words = words.to_vec();
    if let Some(program) = words.first_mut() {
        *program = program_path(program)?;
    }
    let id = match name {
        Some(name) => name.clone(),
        // Not used: the name is made when the definition is taken in.
        None => {
            ExperimentId::new("command").map_err(|error| CliError::of(Kind::Internal, &error))?
        }
    };
    let mut spec = ExperimentSpec::new(id, words);
    spec.description =
        Some(spec.command.join(" ").chars().filter(|c| !c.is_control()).take(80).collect());
    spec.directory = working_directory(context.scope);
    if !shell.clean_env {
        tools(context).apply(&mut spec);
    }
    overlay.apply(&mut spec);
    let found = Found { spec, source: String::new(), stamp: String::new(), warnings: Vec::new() };
    match obstacle(context, &found) {
        Some(obstacle) => Err(CliError::new(Kind::Definition, obstacle)),
        None => Ok(found.spec),
    }
}

/// The variables of this shell that say where programs and libraries are found.
fn tools(context: &Context) -> SpecOverlay {
    let mut tools = SpecOverlay::default();
    for name in TOOLS {
        let Some(value) = std::env::var_os(name) else { continue };
        let added = value.to_str().map(|value| tools.add_environment(&format!("{name}={value}")));
        match added {
            Some(Ok(())) => {}
            Some(Err(problem)) => {
                context.terminal.warning(&format!("{name} is not taken along: {problem}"));
            }
            None => context.terminal.warning(&format!("{name} is not taken along: not UTF-8")),
        }
    }
    tools
}

/// The program by its full path, found as the caller's shell would, for the manager looks for it
/// by a `$PATH` of its own.
fn program_path(program: &str) -> Result<String, CliError> {
    let wrong = |message: String| {
        CliError::new(Kind::Definition, message).hint("a command is a program and its arguments")
    };
    if program.is_empty() {
        return Err(wrong("the command is empty".to_owned()));
    }
    let candidates: Vec<PathBuf> = if program.contains('/') {
        std::path::absolute(program).into_iter().collect()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        std::env::split_paths(&path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(program))
            .collect()
    };
    let executable = |path: &&PathBuf| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    // What is there and cannot be executed is told with its path.
    let found = candidates.iter().find(executable);
    match found.or_else(|| candidates.iter().find(|path| path.exists())) {
        Some(path) => match path.to_str() {
            Some(path) => Ok(path.to_owned()),
            None => Err(wrong(format!("the path of {program} is not UTF-8"))),
        },
        None => Err(wrong(format!("there is no program {program}"))),
    }
}

/// Where the command is to run: here, if the user that it runs as can come here.
fn working_directory(scope: Scope) -> Option<bij_core::definition::AbsolutePath> {
    let here = std::env::current_dir().ok()?;
    // Under systemd it runs as another user with a `/tmp` of its own.
    let others_enter = || {
        here.ancestors().all(|directory| {
            directory.metadata().is_ok_and(|file| file.permissions().mode() & 0o001 != 0)
        })
    };
    let private = ["/tmp", "/var/tmp"].iter().any(|private| here.starts_with(private));
    let reachable = match scope {
        Scope::Local => true,
        Scope::User => !private,
        Scope::System => !private && others_enter(),
    };
    here.to_str().filter(|_| reachable)?.parse().ok()
}
