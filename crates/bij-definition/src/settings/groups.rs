//! `[groups.NAME]`: the slots of groups of runs.

use std::collections::BTreeMap;

use bij_core::queue::GroupName;

use crate::document::{KeyEntry, Value, ValueNode, quoted};
use crate::fault::{ParseFault, ParseFaults};
use crate::names::nearest;
use crate::value;

/// The only key of a group.
const SLOTS: &str = "slots";
const EXAMPLE: &str = "for example: [groups.night] slots = 2";

/// Reads all groups with their slots.
pub(super) fn read(node: &ValueNode) -> Result<BTreeMap<GroupName, u32>, ParseFaults> {
    let Value::Table(entries) = &node.value else {
        return Err(node.instead_of("a table of groups").hint(EXAMPLE).into());
    };
    let mut faults = ParseFaults::default();
    let mut groups = BTreeMap::new();
    for entry in entries {
        match group(entry) {
            Ok((name, slots)) => {
                groups.insert(name, slots);
            }
            Err(found) => {
                let key = quoted(&entry.key);
                let below = format!(".{}", key.trim_matches('"'));
                faults.extend(found, |fault| fault.within(&below).or_hint(|| Some(EXAMPLE.into())));
            }
        }
    }
    if faults.is_empty() { Ok(groups) } else { Err(faults) }
}

fn group(entry: &KeyEntry) -> Result<(GroupName, u32), ParseFaults> {
    let name: GroupName = entry.key.parse().map_err(|error| {
        let error: bij_core::queue::InvalidGroupName = error;
        ParseFault::new(entry.at, error.to_string())
    })?;
    let Value::Table(keys) = &entry.node.value else {
        return Err(entry.node.instead_of("a table").into());
    };
    let mut slots = None;
    let mut faults = ParseFaults::default();
    for key in keys {
        if key.key != SLOTS {
            let hint = match nearest(&key.key, [SLOTS]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("a group has `{SLOTS}`; {EXAMPLE}"),
            };
            let below = format!(".{}", quoted(&key.key).trim_matches('"'));
            faults.push(ParseFault::new(key.at, "unknown key").within(&below).hint(hint));
            continue;
        }
        match value::count(&key.node) {
            Ok(count) => slots = Some(count),
            Err(fault) => faults.push(fault.within(&format!(".{SLOTS}"))),
        }
    }
    match slots {
        Some(slots) if faults.is_empty() => Ok((name, slots)),
        None if faults.is_empty() => {
            Err(ParseFault::new(entry.at, "a group needs the key `slots`").into())
        }
        _ => Err(faults),
    }
}
