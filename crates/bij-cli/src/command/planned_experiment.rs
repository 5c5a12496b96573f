//! The experiments that the targets and the command of `bij run` and `bij submit` become.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bij_core::ExperimentId;
use bij_core::caller_environment::TOOLS;
use bij_core::port::{DefinitionSource as _, FoundDefinition};
use bij_core::spec::ExperimentSpec;
use bij_definition::SpecOverlay;

use super::check::{must_be_runnable, obstacle};
use crate::args::ShellArgs;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::scope::Scope;

/// An experiment that can run, and whether its definition is already written.
pub(super) struct PlannedExperiment {
    pub(super) spec: ExperimentSpec,
    pub(super) is_defined: bool,
}

impl PlannedExperiment {
    /// Prints the warnings about a definition; fails if the experiment cannot run.
    pub(super) fn new(
        context: &Context,
        found: FoundDefinition,
        is_defined: bool,
    ) -> Result<Self, CliError> {
        context.warn_about_definition(&found);
        must_be_runnable(context, &found)?;
        Ok(Self { spec: found.spec, is_defined })
    }
}

/// Plans the experiment of a file. A file in a directory of definitions is itself the definition.
pub(super) fn from_file(
    context: &Context,
    path: &Path,
    name: Option<&ExperimentId>,
) -> Result<PlannedExperiment, CliError> {
    let mut found = context.find_file(path)??;
    if let Some(name) = name {
        found.spec.id = name.clone();
    }
    let own = context.definitions().find(&found.spec.id);
    let is_defined = own.is_ok_and(|own| own.source == found.source);
    PlannedExperiment::new(context, found, is_defined)
}

/// Returns the definition of a command, without writing it. Without a name its id is a placeholder.
pub(super) fn ad_hoc(
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
        // A placeholder: the name is generated when the definition is written.
        None => ExperimentId::new("command")
            .map_err(|error| CliError::from_error(Kind::Internal, &error))?,
    };
    let mut spec = ExperimentSpec::new(id, words);
    spec.description =
        Some(spec.command.join(" ").chars().filter(|c| !c.is_control()).take(80).collect());
    spec.directory = working_directory(context.scope);
    if !shell.clean_env {
        tool_variables(context).apply(&mut spec);
    }
    overlay.apply(&mut spec);
    let found =
        FoundDefinition { spec, source: String::new(), stamp: String::new(), warnings: Vec::new() };
    match obstacle(context, &found) {
        Some(obstacle) => Err(CliError::new(Kind::Definition, obstacle)),
        None => Ok(found.spec),
    }
}

/// Returns the variables of this shell that say where programs and libraries are found.
fn tool_variables(context: &Context) -> SpecOverlay {
    let mut variables = SpecOverlay::default();
    for name in TOOLS {
        let Some(value) = std::env::var_os(name) else { continue };
        let added =
            value.to_str().map(|value| variables.add_environment(&format!("{name}={value}")));
        match added {
            Some(Ok(())) => {}
            Some(Err(problem)) => {
                context.terminal.warning(&format!("{name} is not inherited: {problem}"));
            }
            None => context.terminal.warning(&format!("{name} is not inherited: not UTF-8")),
        }
    }
    variables
}

/// Returns the full path of a program, searched as by the caller's shell, because the manager has a `$PATH` of its
/// own.
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
    // A file that is not executable is returned too: the error then names its path.
    let found = candidates.iter().find(executable);
    match found.or_else(|| candidates.iter().find(|path| path.exists())) {
        Some(path) => match path.to_str() {
            Some(path) => Ok(path.to_owned()),
            None => Err(wrong(format!("the path of {program} is not UTF-8"))),
        },
        None => Err(wrong(format!("there is no program {program}"))),
    }
}

/// Returns the current directory if the experiment's user can enter it.
fn working_directory(scope: Scope) -> Option<bij_core::spec::AbsolutePath> {
    let here = std::env::current_dir().ok()?;
    // Under PID 1 the command runs as another user, and under every systemd with a `/tmp` of its own.
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
