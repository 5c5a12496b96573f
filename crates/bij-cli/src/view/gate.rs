//! Texts about closed gates.

use std::borrow::Cow;

use bij_core::request::{QueueEntry, WaitReason};

use super::escape::visible;

/// Returns the text of the first gate, and the number of the others: `4 of 4 slots are taken (+1)`.
pub(crate) fn first(waiting_on: &[WaitReason]) -> Cow<'_, str> {
    match waiting_on {
        [] => "".into(),
        [one] => visible(&one.text),
        [one, more @ ..] => format!("{} (+{})", visible(&one.text), more.len()).into(),
    }
}

/// Returns what opens a gate; `None` for a gate that this version does not know.
pub(super) fn opens(entry: &QueueEntry, waiting: &WaitReason) -> Option<String> {
    let run = entry.id();
    Some(match &*waiting.gate {
        "manager" => "systemd, or the bus to it; the coordinator asks every few seconds".to_owned(),
        "going-down" => "the next boot, or the coordinator's next start".to_owned(),
        "hold" => format!("bij release {run}"),
        "paused" => "bij resume, or bij resume GROUP; see bij groups".to_owned(),
        "slots" => {
            "the end of a run that is up, or a higher max_concurrent in coordinator.toml".to_owned()
        }
        "group-slots" => {
            format!("the end of one of its runs, or bij groups set {} --slots N", entry.group)
        }
        "memory" => {
            "the end of runs that are up, or a higher total_memory in coordinator.toml".to_owned()
        }
        "memory-available" => "memory that any process frees".to_owned(),
        "memory-pressure" => "less memory pressure".to_owned(),
        "gpu" => "the end of the runs that use it".to_owned(),
        "heat" if waiting.have.is_some() => "the board cooling down; see bij board".to_owned(),
        "heat" => "a thermal zone that can be read; see bij board".to_owned(),
        "power-mode" => {
            "the end of the runs that want the mode in force, or a reboot; see bij power".to_owned()
        }
        // The run that it depends on has ended in another way.
        "dependency" if waiting.have.is_some() => {
            format!("a newer run that ends as required, or bij edit --after-none {run}")
        }
        "dependency" | "same-experiment" => "the end of that run".to_owned(),
        "not-before" => format!("time, or bij edit --any-time {run}"),
        "boot-grace" | "back-off" => "time".to_owned(),
        "unit" => "the end of the processes that its unit still has".to_owned(),
        "turn" => "the start of that run".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use bij_core::request::EntryState;

    use super::*;
    use crate::view::queue::tests::entry;

    #[test]
    fn every_gate_of_the_manual_has_an_opener() {
        let manual = include_str!("../../../../docs/queue.md");
        let (_, rest) = manual.split_once("\n## Gates\n").unwrap();
        let (section, _) = rest.split_once("\n## ").unwrap();
        let names: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names.len(), 19, "{names:?}");
        for name in names {
            let entry = entry("x#1", EntryState::Waiting, &[(name, "closed")]);
            assert!(opens(&entry, &entry.waiting_on[0]).is_some(), "{name}");
        }
    }

    #[test]
    fn a_line_has_the_first_gate_only() {
        let two = entry("x#1", EntryState::Waiting, &[("slots", "full"), ("memory", "none")]);
        assert_eq!(first(&two.waiting_on), "full (+1)");
        assert_eq!(first(&two.waiting_on[..1]), "full");
        assert_eq!(first(&[]), "");
    }
}
