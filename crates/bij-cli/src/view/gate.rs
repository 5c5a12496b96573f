//! Closed gates, as people are told of them.

use bij_api::message::{Entry, Waiting};

use super::escape::visible;

/// The first of them in a few words, and how many there are besides.
pub(crate) fn first(waiting_on: &[Waiting]) -> String {
    match waiting_on {
        [] => String::new(),
        [one] => visible(&one.text),
        [one, more @ ..] => format!("{} (+{})", visible(&one.text), more.len()),
    }
}

/// What opens a gate, where that can be told.
pub(super) fn opens(entry: &Entry, waiting: &Waiting) -> Option<String> {
    let run = entry.id();
    Some(match waiting.gate.as_str() {
        "hold" => format!("bij release {run}"),
        "paused" => "bij resume, or bij resume GROUP for one of `bij groups`".to_owned(),
        "slots" => "the end of a run that is up, or a higher MAX_CONCURRENT_EXPERIMENTS".to_owned(),
        "group-slots" => {
            format!("the end of one of its runs, or bij groups set {} --slots N", entry.group)
        }
        "memory" => "the end of runs that are up, or a higher TOTAL_RAM_LIMIT_GB".to_owned(),
        "memory-available" => "memory that anything on the machine gives back".to_owned(),
        "memory-pressure" => "less pressure; it is looked at all the time".to_owned(),
        "gpu" => "the end of those that use it".to_owned(),
        // Its end is known and is not the one that is waited for.
        "dependency" if waiting.have.is_some() => {
            format!("another run of it that ends so, or bij edit --after-none {run}")
        }
        "dependency" => "that run".to_owned(),
        "not-before" => format!("time, or bij edit --any-time {run}"),
        "boot-grace" | "back-off" => "time".to_owned(),
        "same-experiment" => "the end of that run".to_owned(),
        "turn" => "the start of that run".to_owned(),
        _ => return None,
    })
}
