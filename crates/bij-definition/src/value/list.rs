//! Lists and tables of values.

use std::collections::BTreeMap;

use bij_core::ExperimentId;
use bij_core::spec::{AbsolutePath, After};
use bij_core::variable::{self, VariablePattern};

use super::word::{argument_text, directory, environment_value, program, text};
use crate::document::{Value, ValueNode, quoted};
use crate::fault::{ParseFault, ParseFaults};

/// Reads every item; returns all faults with their indices.
fn items<T>(
    list: &[ValueNode],
    read: impl Fn(usize, &ValueNode) -> Result<T, ParseFault>,
) -> Result<Vec<T>, ParseFaults> {
    let mut faults = ParseFaults::default();
    let mut values = Vec::with_capacity(list.len());
    for (index, node) in list.iter().enumerate() {
        match read(index, node) {
            Ok(value) => values.push(value),
            Err(fault) => faults.push(fault.within(&format!("[{index}]"))),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

/// Reads program and arguments.
pub(crate) fn command(node: &ValueNode) -> Result<Vec<String>, ParseFaults> {
    let expected = "a list of texts, the program first";
    match &node.value {
        Value::List(list) if !list.is_empty() => items(list, |index, node| {
            let text = if index == 0 { program(node)? } else { argument_text(node)? };
            Ok(text.to_owned())
        }),
        Value::List(_) => {
            let fault = ParseFault::new(node.at, format!("the list is empty, expected {expected}"));
            Err(fault.into())
        }
        Value::Text(line) => {
            let words: Vec<String> = line.split_whitespace().map(quoted).collect();
            let hint = format!("command = [{}]", words.join(", "));
            Err(node.instead_of(expected).hint(hint).into())
        }
        _ => Err(node.instead_of(expected).into()),
    }
}

/// Reads absolute paths without duplicates.
pub(crate) fn paths(node: &ValueNode) -> Result<Vec<AbsolutePath>, ParseFaults> {
    let Value::List(list) = &node.value else {
        return Err(node.instead_of("a list of absolute paths").into());
    };
    let mut paths = items(list, |_, node| directory(node))?;
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    Ok(paths)
}

/// Reads patterns of variables that members may set.
pub(crate) fn patterns(node: &ValueNode) -> Result<Vec<VariablePattern>, ParseFaults> {
    let Value::List(list) = &node.value else {
        return Err(node.instead_of("a list of names of variables").into());
    };
    items(list, |_, node| {
        VariablePattern::new(text(node)?)
            .map_err(|error| ParseFault::new(node.at, error.to_string()))
    })
}

pub(crate) fn environment(node: &ValueNode) -> Result<BTreeMap<String, String>, ParseFaults> {
    let Value::Table(entries) = &node.value else {
        return Err(node.instead_of("a table of variables").into());
    };
    let mut faults = ParseFaults::default();
    let mut environment = BTreeMap::new();
    for entry in entries {
        let name = variable::check_name(&entry.key)
            .map_err(|bad| ParseFault::new(entry.at, bad.message()).hint(bad.hint()));
        match name.and_then(|()| environment_value(&entry.node)) {
            Ok(value) => {
                environment.insert(entry.key.clone(), value.to_owned());
            }
            Err(fault) => {
                let key = quoted(&entry.key);
                faults.push(fault.within(&format!(".{}", key.trim_matches('"'))));
            }
        }
    }
    if faults.is_empty() { Ok(environment) } else { Err(faults) }
}

/// Reads the experiments that must have succeeded before.
pub(crate) fn after(node: &ValueNode) -> Result<Option<After>, ParseFaults> {
    let expected = "a list of experiments, or { any = [...] }";
    let ids = |list: &[ValueNode]| {
        items(list, |_, node| {
            ExperimentId::new(text(node)?)
                .map_err(|error| ParseFault::new(node.at, error.to_string()))
        })
    };
    match &node.value {
        Value::List(list) if list.is_empty() => Ok(None),
        Value::List(list) => Ok(Some(After::All(ids(list)?))),
        Value::Table(entries) => match entries.as_slice() {
            [entry] if entry.key == "any" || entry.key == "all" => match &entry.node.value {
                Value::List(list) if list.is_empty() => {
                    let message = "the list is empty, expected at least one experiment";
                    Err(ParseFault::new(entry.node.at, message).into())
                }
                Value::List(list) if entry.key == "any" => Ok(Some(After::Any(ids(list)?))),
                Value::List(list) => Ok(Some(After::All(ids(list)?))),
                _ => Err(entry.node.instead_of("a list of experiments").into()),
            },
            _ => Err(node.instead_of(expected).into()),
        },
        _ => Err(node.instead_of(expected).into()),
    }
}
