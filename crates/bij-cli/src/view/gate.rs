//! Closed gates, as people are told of them.

use std::borrow::Cow;

use bij_api::message::{Entry, Waiting};

use super::escape::visible;

/// The first of them in a few words, and how many there are besides.
pub(crate) fn first(waiting_on: &[Waiting]) -> Cow<'_, str> {
    match waiting_on {
        [] => "".into(),
        [one] => visible(&one.text),
        [one, more @ ..] => format!("{} (+{})", visible(&one.text), more.len()).into(),
    }
}

/// What opens a gate, where that can be told.
pub(super) fn opens(entry: &Entry, waiting: &Waiting) -> Option<String> {
    let run = entry.id();
    Some(match &*waiting.gate {
        "manager" => {
            "the service manager, or the bus to it; it is asked every few seconds".to_owned()
        }
        "going-down" => "the next boot, or the coordinator's next start".to_owned(),
        "hold" => format!("bij release {run}"),
        "paused" => "bij resume, or bij resume GROUP for one of `bij groups`".to_owned(),
        "slots" => {
            "the end of a run that is up, or a higher max_concurrent in coordinator.toml".to_owned()
        }
        "group-slots" => {
            format!("the end of one of its runs, or bij groups set {} --slots N", entry.group)
        }
        "memory" => {
            "the end of runs that are up, or a higher total_memory in coordinator.toml".to_owned()
        }
        "memory-available" => "memory that anything on the machine gives back".to_owned(),
        "memory-pressure" => "less pressure; it is looked at all the time".to_owned(),
        "gpu" => "the end of those that use it".to_owned(),
        "heat" if waiting.have.is_some() => "the board cooling down: bij board".to_owned(),
        "heat" => "a thermal zone that can be read: bij board".to_owned(),
        "power-mode" => {
            "the end of runs that want the mode in force, or what it says: bij power".to_owned()
        }
        // Its end is known and is not the one that is waited for.
        "dependency" if waiting.have.is_some() => {
            format!("another run of it that ends so, or bij edit --after-none {run}")
        }
        "dependency" => "that run".to_owned(),
        "not-before" => format!("time, or bij edit --any-time {run}"),
        "boot-grace" | "back-off" => "time".to_owned(),
        "unit" => "the end of what its unit still runs".to_owned(),
        "same-experiment" => "the end of that run".to_owned(),
        "turn" => "the start of that run".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use bij_api::message::State;

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
            let entry = entry("x#1", State::Waiting, &[(name, "closed")]);
            assert!(opens(&entry, &entry.waiting_on[0]).is_some(), "{name}");
        }
    }

    #[test]
    fn only_the_first_gate_is_told_in_a_line() {
        let two = entry("x#1", State::Waiting, &[("slots", "full"), ("memory", "none")]);
        assert_eq!(first(&two.waiting_on), "full (+1)");
        assert_eq!(first(&two.waiting_on[..1]), "full");
        assert_eq!(first(&[]), "");
    }
}
