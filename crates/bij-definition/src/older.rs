//! Files of the older Python tool: four variables in `<id>.env`, and `<id>.json`.

use bij_core::ExperimentId;
use bij_core::port::{Problem, Warning};
use bij_core::spec::ExperimentSpec;
use bij_core::variable::{self, BadVariableName};

use crate::document::{KeyEntry, Value, ValueNode};
use crate::env_file::{self, Assignment, Oddity};
use crate::fault::{ParseFault, ParseFaults};
use crate::keys;
use crate::names::nearest;
use crate::source::{SourceFile, Text};
use crate::value;

/// The variables that also change a setting of the definition, each with the table and the name of its key.
const KNOWN: [(&str, &str, &str); 4] = [
    ("EXPERIMENT_RAM_LIMIT", "limits", "memory"),
    ("EXPERIMENT_CPU_QUOTA", "limits", "cpu"),
    ("NVPMODEL_MODE", "power", "mode"),
    ("MAX_TEMP_CELSIUS", "thermal", "max_celsius"),
];

/// Changes the setting of a known variable; another name or an empty value changes nothing.
pub(crate) fn set_known(
    name: &str,
    value: &str,
    at: usize,
    spec: &mut ExperimentSpec,
) -> Result<(), ParseFault> {
    let Some((_, table, key)) = KNOWN.iter().find(|(known, ..)| *known == name) else {
        return Ok(());
    };
    if value.is_empty() {
        return Ok(());
    }
    // A variable is text; text that parses as a number is accepted as a number.
    let value = match value.parse::<f64>() {
        Ok(_) => Value::Number(value.to_owned()),
        Err(_) => Value::Text(value.to_owned()),
    };
    let fields = keys::fields();
    let field = fields.iter().find(|field| field.table == *table && field.name == *key);
    let field = field.expect("every known variable names a key of the table");
    (field.read)(&ValueNode { at, value }, spec).map_err(ParseFaults::into_first)
}

/// Checks the value of a variable, if it is a known variable.
pub(crate) fn check_known(name: &str, value: &str) -> Result<(), ParseFault> {
    let mut scratch = scratch();
    set_known(name, value, 0, &mut scratch)
}

/// Returns whether a variable sets a limit, which is checked by its value.
pub(crate) fn is_limit(name: &str) -> bool {
    ["EXPERIMENT_RAM_LIMIT", "EXPERIMENT_CPU_QUOTA", "MAX_TEMP_CELSIUS"].contains(&name)
}

/// Returns whether a variable is a known variable of the older tool.
pub(crate) fn is_setting(name: &str) -> bool {
    KNOWN.iter().any(|(known, ..)| *known == name)
}

/// Returns a definition to test settings on.
pub(crate) fn scratch() -> ExperimentSpec {
    let id = ExperimentId::new("x").expect("x is a letter");
    ExperimentSpec::new(id, Vec::new())
}

/// Applies an `.env` file to a definition: its variables go to the process, and known variables also change
/// settings.
pub(crate) fn lay_over(
    file: SourceFile<'_>,
    spec: &mut ExperimentSpec,
    warnings: &mut Vec<Warning>,
) -> Result<(), Vec<Problem>> {
    let text = file.text().map_err(|problem| vec![problem])?;
    let is_known = is_setting;
    let mut faults = ParseFaults::default();
    for Assignment { at, name, value, oddities: _ } in variables(&text, is_known, warnings) {
        let set = match variable::check_name(&name) {
            Err(bad @ BadVariableName::Reserved) => {
                Err(ParseFault::new(at, bad.message()).hint(bad.hint()))
            }
            _ if value.len() > value::MAX_ARGUMENT => {
                Err(ParseFault::new(at, "the value is longer than Linux allows"))
            }
            _ => set_known(&name, &value, at, spec),
        };
        match set {
            Ok(()) => {
                spec.environment.insert(name, value);
            }
            Err(fault) => faults.push(fault.within(&name)),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.into_problems(&text)) }
}

/// The most warnings about one environment file.
const MAX_REMARKS: usize = 50;

/// Returns the variables of an environment file and adds its oddities to `warnings`.
///
/// A comment after the value of a known variable is removed, because the older tool's documents show such
/// comments and no valid value of a known variable contains `#`.
pub(crate) fn variables(
    text: &Text<'_>,
    is_known: impl Fn(&str) -> bool,
    warnings: &mut Vec<Warning>,
) -> Vec<Assignment> {
    let mut content = env_file::parse(text);
    content.skip_invalid();
    let mut remarks = content.skipped;
    for Assignment { at, name, value, oddities } in &mut content.assignments {
        let hash = value.find('#').filter(|_| is_known(name));
        if let Some(hash) = hash {
            value.truncate(value[..hash].trim_end().len());
            let remark = "to systemd, a comment after a value is part of the value; bij removes it here. \
                          Put the comment on its own line";
            remarks.push((*at, remark.to_owned()));
        }
        let reported =
            oddities.iter().filter(|oddity| hash.is_none() || **oddity != Oddity::Comment);
        remarks.extend(reported.map(|oddity| (*at, oddity.remark())));
    }
    remarks.sort();
    let unlisted = remarks.len().saturating_sub(MAX_REMARKS);
    remarks.truncate(MAX_REMARKS);
    let last = remarks.last().map_or(0, |(at, _)| *at);
    if unlisted > 0 {
        remarks.push((last, format!("and {unlisted} more warnings")));
    }
    let warning = |(at, message)| Warning { location: text.location(at), message };
    warnings.extend(remarks.into_iter().map(warning));
    content.assignments
}

/// Returns whether a JSON document is an older config: it has no command, not even a mistyped one, and at
/// least one key that is not a key of definitions.
pub(crate) fn is_config(document: &[KeyEntry], is_setting: impl Fn(&str) -> bool) -> bool {
    let has = |key: &str| document.iter().any(|entry| entry.key == key);
    let is_nearly_command = |entry: &KeyEntry| nearest(&entry.key, ["command"]).is_some();
    !has("command")
        && (has("experiment_id")
            || (document.iter().any(|entry| !is_setting(&entry.key))
                && !document.iter().any(is_nearly_command)))
}

/// Returns the command of a document, which makes it a definition.
pub(crate) fn command(document: &[KeyEntry]) -> Option<&KeyEntry> {
    document.iter().find(|entry| entry.key == "command")
}

/// Returns the fault of a definition in the directory of configs.
pub(crate) fn not_a_definition(at: usize) -> ParseFault {
    let message = "a file in [runner] config_directory is a config and never a definition: its \
                   command is not run";
    ParseFault::new(at, message).within("command").hint(
        "definitions belong in /etc/brain-in-jar/experiments, which only root may write; rename the key if \
         it is meant for the program",
    )
}

/// Returns the faults of a config that Python's json accepts, as warnings.
pub(crate) fn lenient_warnings(
    text: &Text<'_>,
    lenient: ParseFaults,
) -> impl Iterator<Item = Warning> {
    let problems = lenient.into_problems(text).into_iter();
    problems.map(|Problem { location, message, .. }| Warning { location, message })
}

/// Reads the name of an older config; all other keys are for the program.
pub(crate) fn read_config(
    text: &Text<'_>,
    document: &[KeyEntry],
    spec: &mut ExperimentSpec,
    faults: &mut ParseFaults,
    warnings: &mut Vec<Warning>,
) {
    for KeyEntry { key, at, node } in document {
        match key.as_str() {
            "experiment_id" => warnings.extend(id_mismatch(text, *at, node, &spec.id)),
            "name" => match value::description(node) {
                Ok(name) => spec.description = Some(name),
                Err(fault) => faults.push(fault.within(key)),
            },
            _ => {}
        }
    }
}

/// Returns a warning if the `experiment_id` of a config differs from its file name.
///
/// It is not an error, because users of the older tool deploy a config by copying it under a new name.
fn id_mismatch(text: &Text<'_>, at: usize, node: &ValueNode, id: &ExperimentId) -> Option<Warning> {
    if matches!(&node.value, Value::Text(own) if own == id.as_str()) {
        return None;
    }
    let own = node.describe();
    let message = format!("experiment_id is {own}; bij names the experiment {id}, after its file");
    Some(Warning { location: text.location(at), message })
}

/// Returns the problem of an older config without a runner.
pub(crate) fn no_runner(text: &Text<'_>) -> Problem {
    Problem {
        location: text.location(0),
        key: Some("command".to_owned()),
        message: "this config names no command, and coordinator.toml has no [runner] for it"
            .to_owned(),
        hint: Some(
            "add to coordinator.toml: [runner] command = [\"/usr/bin/python3\", \"-m\", \
             \"YOUR.RUNNER\", \"{config}\"]"
                .to_owned(),
        ),
    }
}
