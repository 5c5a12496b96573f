//! `coordinator.toml` and the older `coordinator.env`: settings for all experiments.

mod fields;
mod groups;
mod older_names;

use std::collections::BTreeMap;

use bij_core::CoordinatorSettings;
use bij_core::port::{DefinitionError, Problem, Warning};
use bij_core::spec::{AbsolutePath, ExperimentSpec};

use self::fields::{FIELDS, SettingsDraft};
use crate::document::{self, Syntax};
use crate::fault::ParseFaults;
use crate::field::read_document;
use crate::source::SourceFile;
use crate::template;

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
        let mut faults = ParseFaults::default();
        let mut draft = SettingsDraft::default();
        if let Some(document) = document::parse(&text, Syntax::Toml, &mut faults) {
            read_document(&document, &FIELDS.iter().collect::<Vec<_>>(), &mut draft, &mut faults);
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
        let SettingsDraft { runner, coordinator } = draft;
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

/// `[runner]`: command, user and environment of all older configs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Runner {
    /// Program and arguments; `{config}` is replaced by the path of the config, which is otherwise appended
    /// as the last argument.
    pub command: Vec<String>,
    /// The directory of older configs.
    pub config_directory: Option<AbsolutePath>,
    /// The working directory; the experiment's state directory if absent.
    pub directory: Option<AbsolutePath>,
    /// The user to run as; a dynamic user for each experiment if absent.
    pub user: Option<String>,
    /// Variables to add to the environment.
    pub environment: BTreeMap<String, String>,
    /// Paths to write to, beside the experiment's state.
    pub writable: Vec<AbsolutePath>,
}

impl Runner {
    /// Applies the runner to the definition of an older config.
    pub(crate) fn apply(&self, config: &str, spec: &mut ExperimentSpec) {
        spec.command.clone_from(&self.command);
        if !spec.command.iter().any(|argument| template::has_placeholder(argument)) {
            spec.command.push("{config}".to_owned());
        }
        spec.config = Some(config.to_owned());
        spec.directory.clone_from(&self.directory);
        spec.user.clone_from(&self.user);
        spec.environment.clone_from(&self.environment);
        spec.writable.clone_from(&self.writable);
    }
}

fn no_command(file: SourceFile<'_>) -> Problem {
    let hint = "for example: [runner] command = [\"/usr/bin/python3\", \"-m\", \"runner\", \
                \"{config}\"]";
    let mut problem = file.problem("a runner needs a command", Some(hint.to_owned()));
    problem.key = Some("runner.command".to_owned());
    problem
}
