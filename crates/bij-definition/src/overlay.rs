//! Extras: settings that override a definition for one run only.

use std::collections::BTreeMap;

use bij_core::port::{DefinitionError, Problem, SourceLocation};
use bij_core::spec::{ExperimentSpec, LimitsSpec};
use bij_core::variable;

use crate::document::{self, Syntax, Value, ValueNode};
use crate::fault::{ParseFault, ParseFaults};
use crate::field::{Field, read_document};
use crate::keys::{KEYS, SpecKey};
use crate::names::nearest;
use crate::render::render;
use crate::source::SourceFile;
use crate::{older, value};

/// The extras of one run, as in `bij start ID CONFIG -E NAME=VALUE --limit KEY=VALUE`.
///
/// ```
/// use bij_core::ExperimentId;
/// use bij_core::spec::ExperimentSpec;
/// use bij_definition::SpecOverlay;
///
/// let mut extras = SpecOverlay::default();
/// extras.add_limit("memory=8G")?;
/// extras.add_environment("SEED=42")?;
///
/// let id: ExperimentId = "amnesiac_001".parse()?;
/// let mut spec = ExperimentSpec::new(id, vec!["/usr/bin/amnesiac".to_owned()]);
/// extras.apply(&mut spec);
/// assert_eq!(spec.limits.memory, "8G".parse().ok());
/// assert_eq!(spec.environment["SEED"], "42");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecOverlay {
    pub(crate) config: Option<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Only the limits whose keys extras may set.
    pub(crate) limits: LimitsSpec,
}

/// Returns the keys that extras may set.
fn extra_keys() -> impl Iterator<Item = &'static SpecKey> {
    KEYS.iter().filter(|key| key.is_extra)
}

/// Returns the fields of the keys that extras may set.
fn extra_fields() -> Vec<&'static Field<ExperimentSpec>> {
    extra_keys().map(|key| &key.field).collect()
}

/// The text that replaces the value of a variable.
const HIDDEN: &str = "***";

impl SpecOverlay {
    /// Returns whether there are no extras.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the config that replaces that of the definition.
    pub fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// Returns the variables that are added to the environment.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Returns extras as all users may read them: values of variables are for the experiment's user and root only.
    pub fn without_values(extras: &str) -> String {
        // A fast path: there can be thousands of runs, and few of them set variables.
        if !extras.contains("environment") {
            return extras.to_owned();
        }
        let Ok(mut overlay) = Self::parse(SourceFile::new("extras", extras.as_bytes())) else {
            // Extras were checked at submission. Unreadable ones are not shown, to be safe.
            return "# these extras cannot be read\n".to_owned();
        };
        for value in overlay.environment.values_mut() {
            HIDDEN.clone_into(value);
        }
        overlay.to_toml()
    }

    /// Returns the limits that are set: keys of `[limits]` with their values.
    pub fn limits(&self) -> Vec<(&'static str, String)> {
        fn text(value: Option<impl ToString>) -> Option<String> {
            value.map(|value| value.to_string())
        }
        let LimitsSpec { memory, swap, cpu, cpus, tasks, time, .. } = &self.limits;
        let limits = [
            ("memory", text(memory.as_ref())),
            ("swap", text(swap.as_ref())),
            ("cpu", text(cpu.as_ref())),
            ("cpus", text(cpus.as_ref())),
            ("tasks", text(tasks.as_ref())),
            ("time", text(time.as_ref())),
        ];
        limits.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// Adds a limit from the command line: `memory=8G`, or `MemoryMax=8G` with systemd's name.
    ///
    /// # Errors
    /// [`Problem`] for an unknown limit or an invalid value.
    pub fn add_limit(&mut self, assignment: &str) -> Result<(), Problem> {
        let problem = |fault: ParseFault| on_command_line("--limit", assignment, fault);
        let (key, text) = assignment.split_once('=').ok_or_else(|| {
            problem(ParseFault::new(0, "expected KEY=VALUE").hint("for example: memory=8G"))
        })?;
        let key = key.trim();
        let mut limits = extra_fields();
        limits.retain(|field| field.table == "limits");
        let Some(field) = limits.iter().find(|field| field.name == key || field.systemd == key)
        else {
            let names: Vec<_> = limits.iter().map(|field| field.name).collect();
            let hint = match nearest(key, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the limits are {}", names.join(", ")),
            };
            return Err(problem(
                ParseFault::new(0, format!("there is no limit {key:?}")).hint(hint),
            ));
        };
        let node = ValueNode { at: 0, value: Value::Text(text.trim().to_owned()) };
        let mut spec = self.to_spec();
        (field.read)(&node, &mut spec).map_err(|faults| {
            let fault = faults.into_first().or_hint(|| {
                let example = field.example.trim_matches('"');
                Some(format!("for example: {}={example}", field.name))
            });
            problem(fault)
        })?;
        *self = Self::from_spec(spec);
        Ok(())
    }

    /// Adds a variable from the command line, `NAME=VALUE`.
    ///
    /// The older tool's variables set limits here too, as in an `.env` file.
    ///
    /// # Errors
    /// [`Problem`] for an invalid or reserved name, or a value that an environment cannot contain.
    pub fn add_environment(&mut self, assignment: &str) -> Result<(), Problem> {
        let problem = |fault: ParseFault| on_command_line("-E", assignment, fault);
        let (name, text) = assignment.split_once('=').ok_or_else(|| {
            problem(ParseFault::new(0, "expected NAME=VALUE").hint("for example: SEED=42"))
        })?;
        variable::check_name(name)
            .map_err(|bad| problem(ParseFault::new(0, bad.message()).hint(bad.hint())))?;
        let node = ValueNode { at: 0, value: Value::Text(text.to_owned()) };
        let text = value::environment_value(&node).map_err(problem)?;
        older::check_known(name, text).map_err(problem)?;
        self.environment.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    /// Returns the variables alone, without the limits and the config.
    pub(crate) fn environment_only(&self) -> Self {
        Self { environment: self.environment.clone(), ..Self::default() }
    }

    /// Sets the config that replaces that of the definition.
    ///
    /// # Errors
    /// [`Problem`] for a text that cannot be an argument or the value of a variable.
    pub fn set_config(&mut self, config: &str) -> Result<(), Problem> {
        let node = ValueNode { at: 0, value: Value::Text(config.to_owned()) };
        value::environment_value(&node)
            .map_err(|fault| on_command_line("CONFIG", config, fault))?;
        self.config = Some(config.to_owned());
        Ok(())
    }

    /// Applies the extras to a definition.
    ///
    /// A config does not change a command whose `{config}` has been replaced; use
    /// [`Definition::with_overlay`](super::Definition) before parsing instead.
    pub fn apply(&self, spec: &mut ExperimentSpec) {
        for (name, value) in &self.environment {
            // The value was checked when it was added.
            let _ = older::set_known(name, value, 0, spec);
            spec.environment.insert(name.clone(), value.clone());
        }
        let extras = Self { environment: BTreeMap::new(), ..self.clone() }.to_spec();
        let none = older::scratch();
        for key in extra_keys().filter(|key| (key.write)(&extras) != (key.write)(&none)) {
            (key.copy)(&extras, spec);
        }
    }

    /// Parses extras written by [`to_toml`](Self::to_toml).
    ///
    /// # Errors
    /// [`DefinitionError`] with all problems of the file.
    pub fn parse(file: SourceFile<'_>) -> Result<Self, DefinitionError> {
        let text = file.text().map_err(DefinitionError::one)?;
        let mut faults = ParseFaults::default();
        let mut spec = older::scratch();
        if let Some(document) = document::parse(&text, Syntax::Toml, &mut faults) {
            read_document(&document, &extra_fields(), &mut spec, &mut faults);
        }
        let overlay = Self::from_spec(spec);
        for (name, value) in &overlay.environment {
            if let Err(fault) = older::check_known(name, value) {
                faults.push(fault.within(&format!("environment.{name}")));
            }
        }
        DefinitionError::from_problems(faults.into_problems(&text))?;
        Ok(overlay)
    }

    /// Renders the extras as a file that parses back the same.
    pub fn to_toml(&self) -> String {
        render(&self.to_spec(), extra_keys())
    }

    /// Returns the definition that has the extras and nothing else.
    fn to_spec(&self) -> ExperimentSpec {
        let mut spec = older::scratch();
        Self { config: spec.config, environment: spec.environment, limits: spec.limits } =
            self.clone();
        spec
    }

    fn from_spec(spec: ExperimentSpec) -> Self {
        let ExperimentSpec { config, environment, limits, .. } = spec;
        Self { config, environment, limits }
    }
}

fn on_command_line(option: &str, argument: &str, fault: ParseFault) -> Problem {
    let file = format!("{option} {}", document::quoted(argument).trim_matches('"'));
    let mut problem = fault.in_text(&crate::source::Text { name: &file, text: "" });
    problem.location = SourceLocation { file, line: None };
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_variables_are_shown() {
        let mut overlay = SpecOverlay::default();
        overlay.add_environment("TOKEN=secret").unwrap();
        overlay.add_limit("memory=2G").unwrap();
        let without_values = SpecOverlay::without_values;
        let shown = without_values(&overlay.to_toml());
        assert!(shown.contains("TOKEN") && shown.contains("2G"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(!without_values("environment = secret").contains("secret"));
        assert_eq!(without_values("limits.tasks = 7"), "limits.tasks = 7");
    }
}
