//! What the older Python tool's users have: four variables in `<id>.env`, and `<id>.json`.

use super::env_file::{self, Assignment, Oddity};
use super::error::{Problem, Warning};
use super::fault::{Fault, Faults};
use super::names::{self, BadName};
use super::nearest::nearest;
use super::source::{SourceFile, Text};
use super::spec::ExperimentSpec;
use super::tree::{Entry, Node, Value};
use super::value;
use crate::ExperimentId;

/// A variable that sets something besides the process's environment.
pub(crate) struct KnownVariable {
    pub(crate) name: &'static str,
    set: fn(&Node, &mut ExperimentSpec) -> Result<(), Fault>,
}

pub(crate) const KNOWN: [KnownVariable; 4] = [
    KnownVariable {
        name: "EXPERIMENT_RAM_LIMIT",
        set: |node, spec| value::memory(node).map(|limit| spec.limits.memory = Some(limit)),
    },
    KnownVariable {
        name: "EXPERIMENT_CPU_QUOTA",
        set: |node, spec| value::cpu_quota(node).map(|limit| spec.limits.cpu = Some(limit)),
    },
    KnownVariable {
        name: "NVPMODEL_MODE",
        set: |node, spec| value::power_mode(node).map(|mode| spec.power.mode = Some(mode)),
    },
    KnownVariable {
        name: "MAX_TEMP_CELSIUS",
        set: |node, spec| {
            value::celsius(node).map(|celsius| spec.thermal.max_celsius = Some(celsius))
        },
    },
];

/// Sets what a known variable sets; any other name, and an empty value, sets nothing.
pub(crate) fn set_known(
    name: &str,
    value: &str,
    at: usize,
    spec: &mut ExperimentSpec,
) -> Result<(), Fault> {
    let Some(known) = KNOWN.iter().find(|known| known.name == name) else { return Ok(()) };
    if value.is_empty() {
        return Ok(());
    }
    // A variable is text; what reads as a number may stand where a number belongs.
    let value = match value.parse::<f64>() {
        Ok(_) => Value::Number(value.to_owned()),
        Err(_) => Value::Text(value.to_owned()),
    };
    (known.set)(&Node { at, value }, spec)
}

/// Whether a variable, if it is a known one, has a value of its kind.
pub(crate) fn check_known(name: &str, value: &str) -> Result<(), Fault> {
    let mut scratch = scratch();
    set_known(name, value, 0, &mut scratch)
}

/// Whether a variable sets a limit, which is judged by its value.
pub(crate) fn is_limit(name: &str) -> bool {
    ["EXPERIMENT_RAM_LIMIT", "EXPERIMENT_CPU_QUOTA", "MAX_TEMP_CELSIUS"].contains(&name)
}

/// Whether a variable is a setting of the older tool, which changes more than the process sees.
pub(crate) fn is_setting(name: &str) -> bool {
    KNOWN.iter().any(|known| known.name == name)
}

/// A definition to try settings on.
fn scratch() -> ExperimentSpec {
    let id = ExperimentId::new("x").expect("x is a letter");
    ExperimentSpec::new(id, Vec::new())
}

/// Lays an `.env` file over a definition: its variables go to the process, and the known ones
/// set limits.
pub(crate) fn lay_over(
    file: SourceFile<'_>,
    spec: &mut ExperimentSpec,
    warnings: &mut Vec<Warning>,
) -> Result<(), Vec<Problem>> {
    let text = file.text().map_err(|problem| vec![problem])?;
    let is_known = is_setting;
    let mut faults = Faults::default();
    for Assignment { at, name, value, oddities: _ } in variables(&text, is_known, warnings) {
        let set = match names::environment_name(&name) {
            Err(bad @ BadName::Reserved) => Err(Fault::new(at, bad.message()).hint(bad.hint())),
            _ if value.len() > value::MAX_ARGUMENT => {
                Err(Fault::new(at, "the value has more bytes than Linux takes"))
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

/// The most lines of an environment file that are warned about one by one.
const MOST_REMARKS: usize = 50;

/// The variables of an environment file; what is odd about it goes into `warnings`.
///
/// Known ones lose a comment behind their value, because the older tool's documents show such
/// comments and no right value of a known variable has a `#`.
pub(crate) fn variables(
    text: &Text<'_>,
    is_known: impl Fn(&str) -> bool,
    warnings: &mut Vec<Warning>,
) -> Vec<Assignment> {
    let mut content = env_file::read(text);
    content.drop_what_systemd_drops();
    let mut remarks = content.skipped;
    for Assignment { at, name, value, oddities } in &mut content.assignments {
        let hash = value.find('#').filter(|_| is_known(name));
        if let Some(hash) = hash {
            value.truncate(value[..hash].trim_end().len());
            let remark = "a comment behind a value is part of it for systemd; bij leaves it out \
                          here. Put it on a line of its own";
            remarks.push((*at, remark.to_owned()));
        }
        let told = oddities.iter().filter(|oddity| hash.is_none() || **oddity != Oddity::Comment);
        remarks.extend(told.map(|oddity| (*at, oddity.remark())));
    }
    remarks.sort();
    let untold = remarks.len().saturating_sub(MOST_REMARKS);
    remarks.truncate(MOST_REMARKS);
    let last = remarks.last().map_or(0, |(at, _)| *at);
    if untold > 0 {
        remarks.push((last, format!("and {untold} more lines that are odd")));
    }
    let warning = |(at, message)| Warning { place: text.place(at), message };
    warnings.extend(remarks.into_iter().map(warning));
    content.assignments
}

/// Whether a JSON document is an older config: it has no command, not even a mistyped one, and
/// something in it that is no setting of a definition.
pub(crate) fn is_config(document: &[Entry], is_setting: impl Fn(&str) -> bool) -> bool {
    let has = |key: &str| document.iter().any(|entry| entry.key == key);
    let nearly_a_command = |entry: &Entry| nearest(&entry.key, ["command"]).is_some();
    !has("command")
        && (has("experiment_id")
            || (document.iter().any(|entry| !is_setting(&entry.key))
                && !document.iter().any(nearly_a_command)))
}

/// The entry that makes a document a definition.
pub(crate) fn command(document: &[Entry]) -> Option<&Entry> {
    document.iter().find(|entry| entry.key == "command")
}

/// What is wrong with a definition that lies among configs.
pub(crate) fn no_definition(at: usize) -> Fault {
    let message = "a file in [runner] config_directory is a config and never a definition: its \
                   command is not run";
    Fault::new(at, message).within("command").hint(
        "definitions lie in /etc/brain-in-jar/experiments and are root's; rename the key if it is meant \
         for the program",
    )
}

/// What to say about a config that Python reads and other programs may not.
pub(crate) fn beyond_json(text: &Text<'_>, beyond: Faults) -> impl Iterator<Item = Warning> {
    let problems = beyond.into_problems(text).into_iter();
    problems.map(|Problem { place, message, .. }| Warning { place, message })
}

/// Takes what an older config says about itself; all else in it is for the program.
pub(crate) fn take_config(
    text: &Text<'_>,
    document: &[Entry],
    spec: &mut ExperimentSpec,
    faults: &mut Faults,
    warnings: &mut Vec<Warning>,
) {
    for Entry { key, at, node } in document {
        match key.as_str() {
            "experiment_id" => warnings.extend(other_id(text, *at, node, &spec.id)),
            "name" => match value::description(node) {
                Ok(name) => spec.description = Some(name),
                Err(fault) => faults.push(fault.within(key)),
            },
            _ => {}
        }
    }
}

/// What to say about a config that calls itself otherwise than its file.
///
/// It is no error: the older tool's users deploy a config by copying it under a new name.
fn other_id(text: &Text<'_>, at: usize, node: &Node, id: &ExperimentId) -> Option<Warning> {
    if matches!(&node.value, Value::Text(own) if own == id.as_str()) {
        return None;
    }
    let own = node.describe();
    let message = format!("experiment_id is {own}; bij calls the experiment {id}, as its file");
    Some(Warning { place: text.place(at), message })
}

/// The problem of an older config that nothing is there to run.
pub(crate) fn no_runner(text: &Text<'_>) -> Problem {
    Problem {
        place: text.place(0),
        key: Some("command".to_owned()),
        message: "this config names no command, and coordinator.toml has no [runner] for it"
            .to_owned(),
        hint: Some(
            "put into coordinator.toml: [runner] command = [\"/usr/bin/python3\", \"-m\", \
             \"YOUR.RUNNER\", \"{config}\"]"
                .to_owned(),
        ),
    }
}
