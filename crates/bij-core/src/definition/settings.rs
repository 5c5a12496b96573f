//! `coordinator.toml` and the older `coordinator.env`: settings for all experiments.

mod coordinator;
mod fields;
mod groups;
mod older_names;
mod runner;

use super::error::{DefinitionError, Problem, Warning};
use super::fault::Faults;
use super::field::read_document;
use super::source::SourceFile;
use super::tree::{self, Syntax};
pub use coordinator::CoordinatorSettings;
use fields::{Draft, FIELDS};
pub use runner::Runner;

/// The settings of an installation.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// `[runner]`: the command of older JSON configs, which have none of their own.
    pub runner: Option<Runner>,
    /// `[coordinator]` and `[groups]`, and the settings under the older tool's names.
    pub coordinator: CoordinatorSettings,
}

impl Settings {
    /// Parses `coordinator.toml`.
    ///
    /// # Errors
    /// [`DefinitionError`] with all problems of the file.
    pub fn parse(file: SourceFile<'_>) -> Result<Self, DefinitionError> {
        let text = file.text().map_err(DefinitionError::one)?;
        let mut faults = Faults::default();
        let mut draft = Draft::default();
        if let Some(document) = tree::parse(&text, Syntax::Toml, &mut faults) {
            read_document(&document, FIELDS, &mut draft, &mut faults);
        }
        let mut problems = faults.into_problems(&text);
        if problems.is_empty()
            && draft.runner.as_ref().is_some_and(|runner| runner.command.is_empty())
        {
            problems.push(no_command(file));
        }
        if let Some(message) = draft.coordinator.check_thresholds().filter(|_| problems.is_empty())
        {
            let hint = "use a higher value than throttle_celsius, for example 75 and 85";
            let mut problem = file.problem(message, Some(hint.to_owned()));
            problem.key = Some("coordinator.critical_celsius".to_owned());
            problems.push(problem);
        }
        DefinitionError::from_problems(problems)?;
        let Draft { runner, coordinator } = draft;
        Ok(Self { runner, coordinator })
    }

    /// Applies `coordinator.env` to the settings and returns its harmless oddities.
    ///
    /// # Errors
    /// [`DefinitionError`] with all problems of the file.
    pub fn lay_over(&mut self, env: SourceFile<'_>) -> Result<Vec<Warning>, DefinitionError> {
        older_names::lay_over(env, &mut self.coordinator)
    }
}

fn no_command(file: SourceFile<'_>) -> Problem {
    let hint = "for example: [runner] command = [\"/usr/bin/python3\", \"-m\", \"runner\", \
                \"{config}\"]";
    let mut problem = file.problem("a runner needs a command", Some(hint.to_owned()));
    problem.key = Some("runner.command".to_owned());
    problem
}
