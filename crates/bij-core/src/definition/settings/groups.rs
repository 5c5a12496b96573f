//! `[groups.NAME]`: the slots of groups of runs.

use std::collections::BTreeMap;

use crate::definition::fault::{Fault, Faults};
use crate::definition::nearest::nearest;
use crate::definition::tree::{Entry, Node, Value, quoted};
use crate::definition::value;
use crate::queue::GroupName;

/// The only key of a group.
const SLOTS: &str = "slots";
const EXAMPLE: &str = "for example: [groups.night] slots = 2";

/// Reads all groups with their slots.
pub(super) fn read(node: &Node) -> Result<BTreeMap<GroupName, u32>, Faults> {
    let Value::Table(entries) = &node.value else {
        return Err(node.instead_of("a table of groups").hint(EXAMPLE).into());
    };
    let mut faults = Faults::default();
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

fn group(entry: &Entry) -> Result<(GroupName, u32), Faults> {
    let name: GroupName = entry.key.parse().map_err(|error| {
        let error: crate::queue::InvalidGroupName = error;
        Fault::new(entry.at, error.to_string())
    })?;
    let Value::Table(keys) = &entry.node.value else {
        return Err(entry.node.instead_of("a table").into());
    };
    let mut slots = None;
    let mut faults = Faults::default();
    for key in keys {
        if key.key != SLOTS {
            let hint = match nearest(&key.key, [SLOTS]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("a group has `{SLOTS}`; {EXAMPLE}"),
            };
            let below = format!(".{}", quoted(&key.key).trim_matches('"'));
            faults.push(Fault::new(key.at, "unknown key").within(&below).hint(hint));
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
            Err(Fault::new(entry.at, "a group needs the key `slots`").into())
        }
        _ => Err(faults),
    }
}
