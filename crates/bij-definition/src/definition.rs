//! Parsing of the files of a definition.

use bij_core::ExperimentId;
use bij_core::port::{DefinitionError, Problem, Warning};
use bij_core::spec::ExperimentSpec;

use crate::document::{self, KeyEntry, Syntax};
use crate::fault::{ParseFault, ParseFaults};
use crate::field::read_document;
use crate::overlay::SpecOverlay;
use crate::settings::Runner;
use crate::source::SourceFile;
use crate::{keys, older, template};

/// Reads the runner of the settings; only older configs need it.
type ReadRunner<'a> = &'a dyn Fn() -> Result<Option<Runner>, DefinitionError>;

/// The files of one experiment's definition.
///
/// Later files override earlier files: the definition, then its `.env`, then the extras of the run.
#[derive(Clone, Copy)]
pub struct Definition<'a> {
    id: &'a ExperimentId,
    file: SourceFile<'a>,
    syntax: Syntax,
    env: Option<SourceFile<'a>>,
    overlay: Option<&'a SpecOverlay>,
    runner: Option<ReadRunner<'a>>,
    only_config: bool,
}

/// The result of parsing a valid definition.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// The definition with all files applied.
    pub spec: ExperimentSpec,
    /// Harmless oddities of its files.
    pub warnings: Vec<Warning>,
    /// The runner that provides the command, if the definition is an older config.
    pub runner: Option<Runner>,
}

impl<'a> Definition<'a> {
    /// Creates a definition of one file.
    pub const fn new(id: &'a ExperimentId, file: SourceFile<'a>, syntax: Syntax) -> Self {
        Self { id, file, syntax, env: None, overlay: None, runner: None, only_config: false }
    }

    /// Adds the `.env` file.
    #[must_use]
    pub const fn with_env(mut self, env: SourceFile<'a>) -> Self {
        self.env = Some(env);
        self
    }

    /// Adds the extras of a run.
    #[must_use]
    pub const fn with_overlay(mut self, overlay: &'a SpecOverlay) -> Self {
        self.overlay = Some(overlay);
        self
    }

    /// Adds a function that reads the runner of the settings. It is called only for an older config.
    #[must_use]
    pub const fn with_runner(mut self, runner: ReadRunner<'a>) -> Self {
        self.runner = Some(runner);
        self
    }

    /// Treats the file as an older config whatever its content, so that it cannot set a command, a user or
    /// limits.
    #[must_use]
    pub const fn only_config(mut self) -> Self {
        self.only_config = true;
        self
    }

    /// Parses all files.
    ///
    /// # Errors
    /// [`DefinitionError`] with all problems of all files.
    pub fn parse(&self) -> Result<Parsed, DefinitionError> {
        let mut spec = ExperimentSpec::new(self.id.clone(), Vec::new());
        let mut warnings = Vec::new();
        let mut problems = Vec::new();
        let runner = self.parse_file(&mut spec, &mut warnings, &mut problems);
        if let Some(env) = self.env {
            problems
                .extend(older::lay_over(env, &mut spec, &mut warnings).err().into_iter().flatten());
        }
        if let Some(overlay) = self.overlay {
            overlay.apply(&mut spec);
        }
        if problems.is_empty() {
            match template::expand(&spec.command, spec.config.as_deref()) {
                Ok(command) => spec.command = command,
                Err(fault) => problems.push(self.whole_file(fault)),
            }
        }
        DefinitionError::from_problems(problems)?;
        Ok(Parsed { spec, warnings, runner })
    }

    /// Parses the definition itself; returns the runner of an older config.
    fn parse_file(
        &self,
        spec: &mut ExperimentSpec,
        warnings: &mut Vec<Warning>,
        problems: &mut Vec<Problem>,
    ) -> Option<Runner> {
        let text = match self.file.text() {
            Ok(text) => text,
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        };
        let mut faults = ParseFaults::default();
        let mut lenient = ParseFaults::default();
        let document = document::parse_leniently(&text, self.syntax, &mut faults, &mut lenient);
        let is_older = self.only_config
            || self.syntax == Syntax::Json
                && document.as_ref().is_some_and(|document| older::is_config(document, is_setting));
        if is_older {
            // Only the program interprets an older config, and its parser may be as lenient as Python's.
            warnings.extend(older::lenient_warnings(&text, lenient));
        } else {
            faults.extend(lenient, |fault| fault);
        }
        let mut runner = None;
        match document {
            Some(document) if self.only_config && older::command(&document).is_some() => {
                let at = older::command(&document).map_or(0, |entry| entry.at);
                problems.push(older::not_a_definition(at).in_text(&text));
            }
            Some(document) if is_older => {
                older::read_config(&text, &document, spec, &mut faults, warnings);
                match self.runner.map_or(Ok(None), |read| read()) {
                    Ok(Some(found)) => {
                        found.apply(self.file.name, spec);
                        runner = Some(found);
                    }
                    Ok(None) => problems.push(older::no_runner(&text)),
                    Err(error) => problems.extend(error.problems),
                }
            }
            Some(document) => {
                read_document(&document, &keys::fields(), spec, &mut faults);
                if !document.iter().any(|entry: &KeyEntry| entry.key == "command") {
                    problems.push(self.whole_file(no_command()));
                }
            }
            None => {}
        }
        problems.extend(faults.into_problems(&text));
        runner
    }

    fn whole_file(&self, fault: ParseFault) -> Problem {
        let mut problem = fault.in_text(&crate::source::Text { name: self.file.name, text: "" });
        problem.location.line = None;
        problem
    }
}

fn is_setting(key: &str) -> bool {
    keys::fields().iter().any(|field| match field.table {
        "" => field.name == key,
        table => table == key,
    })
}

fn no_command() -> ParseFault {
    ParseFault::new(0, "there is no command, so there is nothing to run")
        .within("command")
        .hint("for example: command = [\"/usr/bin/python3\", \"run.py\"], above all tables")
}
