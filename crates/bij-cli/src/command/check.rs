//! `bij check`: all errors in definitions.

mod host;

use std::io::{self, Write};
use std::path::Path;

use bij_core::ExperimentId;
use bij_core::port::{DefinitionSource as _, FindError, FoundDefinition, Problem, Warning};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use crate::args::TargetArg;
use crate::complete;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::view::{TextFormat, Tone, View, visible};

/// The arguments of `bij check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files or experiments; all experiments if none is given
    #[arg(value_name = "FILE|ID", add = ArgValueCompleter::new(complete::targets))]
    targets: Vec<TargetArg>,
}

/// Checks files and experiments; all experiments if none is named.
pub(super) fn check(context: &Context, args: &CheckArgs) -> Result<(), CliError> {
    let mut checked = Vec::new();
    for target in &args.targets {
        checked.push(match target {
            TargetArg::Experiment(id) => experiment(context, id)?,
            TargetArg::File(path) => file(context, path)?,
        });
    }
    if args.targets.is_empty() {
        checked = all_definitions(context)?;
    }
    if checked.is_empty() {
        context.terminal.status("No definitions.");
    }
    let checked = Checked(checked);
    context.terminal.show(&checked)?;
    match checked.0.iter().filter(|definition| !definition.ok).count() {
        0 => Ok(()),
        wrong => {
            let message = format!("{wrong} of {} files cannot be used", checked.0.len());
            Err(CliError::new(Kind::Definition, message))
        }
    }
}

/// Fails if something that is visible before a start keeps the experiment from running.
pub(super) fn must_be_runnable(context: &Context, found: &FoundDefinition) -> Result<(), CliError> {
    let Some(obstacle) = obstacle(context, found) else { return Ok(()) };
    let id = &found.spec.id;
    Err(CliError::new(Kind::Definition, format!("{id} cannot run: {obstacle}"))
        .hint(format!("`bij check {id}` lists all errors")))
}

/// Fails as [`must_be_runnable`] does, except for obstacles in the contents of a program: such a program is started,
/// and the history has the reason why the attempt failed.
pub(super) fn must_be_startable(
    context: &Context,
    found: &FoundDefinition,
) -> Result<(), CliError> {
    if host::has_only_content_obstacles(context, found) {
        return Ok(());
    }
    must_be_runnable(context, found)
}

/// Returns the first visible obstacle that keeps an experiment from running.
pub(super) fn obstacle(context: &Context, found: &FoundDefinition) -> Option<String> {
    host::check_resources(context, found).problems.into_iter().next().map(|problem| problem.message)
}

/// Checks the settings, every definition, and files that are no definitions but lie among them.
fn all_definitions(context: &Context) -> Result<Vec<CheckedDefinition>, CliError> {
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
    for unused in definitions.unused_files()? {
        checked.push(CheckedDefinition {
            id: None,
            source: unused.location.file.clone(),
            ok: true,
            problems: Vec::new(),
            warnings: vec![Finding::from(&unused)],
        });
    }
    Ok(checked)
}

fn experiment(context: &Context, id: &ExperimentId) -> Result<CheckedDefinition, CliError> {
    match context.definitions().find(id) {
        Err(error @ FindError::Missing { .. }) => Err(error.into()),
        found => Ok(check_found(context, Some(id), found)),
    }
}

fn file(context: &Context, path: &Path) -> Result<CheckedDefinition, CliError> {
    match context.find_file(path) {
        Err(error) => Err(error),
        Ok(found) => Ok(check_found(context, None, found)),
    }
}

/// Returns the parser's findings, and those about the machine.
fn check_found(
    context: &Context,
    id: Option<&ExperimentId>,
    found: Result<FoundDefinition, FindError>,
) -> CheckedDefinition {
    match found {
        Ok(found) => {
            let mut warnings: Vec<Finding> = found.warnings.iter().map(Finding::from).collect();
            let host::HostFindings { problems, warnings: about_host } =
                host::check_resources(context, &found);
            warnings.extend(about_host);
            warnings.extend(host::check_exposure(&found));
            warnings.extend(host::check_gpu(&found, &context.root));
            warnings.extend(host::check_power(&found, &context.root));
            CheckedDefinition {
                id: Some(found.spec.id.to_string()),
                source: found.source,
                ok: problems.is_empty(),
                problems,
                warnings,
            }
        }
        Err(FindError::Invalid { id, source }) => {
            let file = source.problems.first().map(|problem| problem.location.file.clone());
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

/// The checked definitions: `bij check`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
struct Checked(Vec<CheckedDefinition>);

/// One definition with its findings.
#[derive(Clone, Debug, Serialize)]
struct CheckedDefinition {
    /// Its id; for a file outside the directories of definitions, the id that it would get.
    id: Option<String>,
    /// The path of its file.
    source: String,
    /// Whether the definition can be used.
    ok: bool,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// A problem or a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Finding {
    file: String,
    line: Option<usize>,
    key: Option<String>,
    message: String,
    hint: Option<String>,
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            file: problem.location.file.clone(),
            line: problem.location.line,
            key: problem.key.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

impl From<&Warning> for Finding {
    fn from(warning: &Warning) -> Self {
        Self {
            file: warning.location.file.clone(),
            line: warning.location.line,
            key: None,
            message: warning.message.clone(),
            hint: None,
        }
    }
}

impl Finding {
    /// Creates a finding about a setting of a file; its line is not known.
    pub(crate) fn about_key(file: &str, key: &str, message: String) -> Self {
        let key = Some(key.to_owned());
        Self { file: file.to_owned(), line: None, key, message, hint: None }
    }

    fn write(
        &self,
        out: &mut dyn Write,
        format: &TextFormat,
        tone: Tone,
        word: &str,
    ) -> io::Result<()> {
        let location = match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        };
        let key = self.key.as_ref().map_or_else(String::new, |key| format!("{}: ", visible(key)));
        let word = format.paint(tone, word);
        writeln!(out, "{}: {word}: {key}{}", visible(&location), visible(&self.message))?;
        match &self.hint {
            Some(hint) => {
                writeln!(out, "  {} {}", format.paint(Tone::Accent, "hint:"), visible(hint))
            }
            None => Ok(()),
        }
    }
}

impl View for Checked {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        for definition in &self.0 {
            for problem in &definition.problems {
                problem.write(out, format, Tone::Bad, "error")?;
            }
            for warning in &definition.warnings {
                warning.write(out, format, Tone::Busy, "warning")?;
            }
            if definition.ok {
                let word = format.paint(Tone::Good, "ok");
                writeln!(out, "{}: {word}", visible(&definition.source))?;
            }
        }
        Ok(())
    }
}
