//! `coordinator.toml` and the older `coordinator.env`: settings that hold for all experiments.

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

/// What the settings say.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// `[runner]`: what carries older JSON configs, which name no command of their own.
    pub runner: Option<Runner>,
    /// `[coordinator]` and `[groups]`, and what the coordinator is told under the older tool's names.
    pub coordinator: CoordinatorSettings,
}

impl Settings {
    /// Reads `coordinator.toml`.
    ///
    /// # Errors
    /// [`DefinitionError`] with everything that is wrong with it.
    pub fn parse(file: SourceFile<'_>) -> Result<Self, DefinitionError> {
        let text = file.text().map_err(DefinitionError::one)?;
        let mut faults = Faults::default();
        let mut draft = Draft::default();
        if let Some(document) = tree::read(&text, Syntax::Toml, &mut faults) {
            read_document(&document, FIELDS, &mut draft, &mut faults);
        }
        let mut problems = faults.into_problems(&text);
        if problems.is_empty()
            && draft.runner.as_ref().is_some_and(|runner| runner.command.is_empty())
        {
            problems.push(no_command(file));
        }
        if let Some(message) = draft.coordinator.heat_objection().filter(|_| problems.is_empty()) {
            let hint = "throttling comes first, for example at 75 and 85";
            let mut problem = file.problem(message, Some(hint.to_owned()));
            problem.key = Some("coordinator.critical_celsius".to_owned());
            problems.push(problem);
        }
        DefinitionError::from_problems(problems)?;
        let Draft { runner, coordinator } = draft;
        Ok(Self { runner, coordinator })
    }

    /// Lays `coordinator.env` over the settings and says what is odd about it.
    ///
    /// # Errors
    /// [`DefinitionError`] with everything that is wrong with it.
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
