//! `coordinator.toml` and the older `coordinator.env`: settings that hold for all experiments.

mod older_names;

use std::collections::BTreeMap;

use super::error::{DefinitionError, Problem, Warning};
use super::fault::Faults;
use super::field::{Field, read_document};
use super::fields::put;
use super::source::SourceFile;
use super::spec::{AbsolutePath, ExperimentSpec};
use super::tree::{self, Syntax};
use super::value;
use crate::{Bytes, TimeSpan};

/// What the settings say.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// `[runner]`: what carries older JSON configs, which name no command of their own.
    pub runner: Option<Runner>,
    /// What the coordinator is told under the older tool's names.
    pub coordinator: CoordinatorSettings,
}

/// The coordinator's settings; absent ones keep its own defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CoordinatorSettings {
    /// How many experiments run at the same time at most: `MAX_CONCURRENT_EXPERIMENTS`.
    pub max_concurrent: Option<u32>,
    /// The memory that all experiments may claim together: `TOTAL_RAM_LIMIT_GB`.
    pub total_memory: Option<Bytes>,
    /// `HEALTH_CHECK_INTERVAL_SECONDS`.
    pub health_check_interval: Option<TimeSpan>,
    /// `TEMPERATURE_CHECK_INTERVAL_SECONDS`.
    pub temperature_check_interval: Option<TimeSpan>,
    /// From here on the board is cooled by throttling, in degrees: `THROTTLE_TEMP_CELSIUS`.
    pub throttle_celsius: Option<f64>,
    /// From here on everything is stopped, in degrees: `CRITICAL_TEMP_CELSIUS`.
    pub critical_celsius: Option<f64>,
}

/// `[runner]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Runner {
    /// Program and arguments; `{config}` is replaced by the config's path, which otherwise
    /// becomes the last argument.
    pub command: Vec<String>,
    /// Where else the older configs lie.
    pub config_directory: Option<AbsolutePath>,
    /// The working directory.
    pub directory: Option<AbsolutePath>,
    /// The user they run as; a dynamic user of their own if absent.
    pub user: Option<String>,
    /// Added to their environment.
    pub environment: BTreeMap<String, String>,
    /// Paths that they may write besides their state.
    pub writable: Vec<AbsolutePath>,
}

impl Runner {
    /// Takes the runner's part of an older config's definition.
    pub(crate) fn lend(&self, config: &str, spec: &mut ExperimentSpec) {
        spec.command.clone_from(&self.command);
        if !spec.command.iter().any(|argument| super::template::has_placeholder(argument)) {
            spec.command.push("{config}".to_owned());
        }
        spec.config = Some(config.to_owned());
        spec.directory.clone_from(&self.directory);
        spec.user.clone_from(&self.user);
        spec.environment.clone_from(&self.environment);
        spec.writable.clone_from(&self.writable);
    }
}

const fn runner(
    name: &'static str,
    systemd: &'static str,
    example: &'static str,
    read: fn(&tree::Node, &mut Draft) -> Result<(), Faults>,
) -> Field<Draft> {
    Field { table: "runner", name, systemd, example, read }
}

/// A runner in the making: present as soon as one of its keys is.
type Draft = Option<Runner>;

const FIELDS: &[Field<Draft>] = &[
    runner("command", "ExecStart", r#"["/usr/bin/python3", "-m", "runner", "{config}"]"#, {
        |node, draft| {
            draft.get_or_insert_default().command = value::command(node)?;
            Ok(())
        }
    }),
    runner("config_directory", "", r#""/home/user/brain-in-jar/experiments/configs""#, {
        |node, draft| {
            put(&mut draft.get_or_insert_default().config_directory, value::directory(node))
        }
    }),
    runner("directory", "WorkingDirectory", r#""/home/user/brain-in-jar""#, |node, draft| {
        put(&mut draft.get_or_insert_default().directory, value::directory(node))
    }),
    runner("user", "User", r#""brain""#, |node, draft| {
        put(&mut draft.get_or_insert_default().user, value::user(node))
    }),
    runner("environment", "Environment", r#"{ HF_HOME = "/var/cache/hf" }"#, |node, draft| {
        draft.get_or_insert_default().environment = value::environment(node)?;
        Ok(())
    }),
    runner("writable", "ReadWritePaths", r#"["/home/user/brain-in-jar/logs"]"#, |node, draft| {
        draft.get_or_insert_default().writable = value::paths(node)?;
        Ok(())
    }),
];

impl Settings {
    /// Reads `coordinator.toml`.
    ///
    /// # Errors
    /// [`DefinitionError`] with everything that is wrong with it.
    pub fn parse(file: SourceFile<'_>) -> Result<Self, DefinitionError> {
        let text = file.text().map_err(DefinitionError::one)?;
        let mut faults = Faults::default();
        let mut draft = None;
        if let Some(document) = tree::read(&text, Syntax::Toml, &mut faults) {
            read_document(&document, FIELDS, &mut draft, &mut faults);
        }
        let mut problems = faults.into_problems(&text);
        if problems.is_empty() && draft.as_ref().is_some_and(|runner| runner.command.is_empty()) {
            problems.push(no_command(file));
        }
        DefinitionError::from_problems(problems)?;
        Ok(Self { runner: draft, ..Self::default() })
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
