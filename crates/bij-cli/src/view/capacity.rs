//! Messages on stderr about the capacity of the machine and the state of the coordinator.

use bij_core::request::CoordinatorStatus;

use super::escape::visible;

/// Returns the slots and the memory in use: `1 of 4 slots taken, 8.0G of 24.0G of memory claimed.`
pub(crate) fn capacity_line(status: &CoordinatorStatus) -> String {
    let slots = match status.slots {
        Some(slots) => format!("{} of {slots} slots taken", status.running),
        None => format!("{} up", status.running),
    };
    let memory = match status.memory_budget {
        Some(budget) => format!("{} of {budget} of memory claimed", status.memory_claimed),
        None => format!("{} of memory claimed", status.memory_claimed),
    };
    format!("{slots}, {memory}.")
}

/// Returns warnings that explain why no run starts.
pub(crate) fn coordinator_warnings(status: &CoordinatorStatus) -> Vec<String> {
    let paused = status.paused_by.as_ref();
    let paused = paused.map(|by| format!("no run starts: admission was paused by {}", visible(by)));
    let troubles = status.troubles.iter().map(|trouble| visible(trouble).into_owned());
    paused.into_iter().chain(troubles).collect()
}

#[cfg(test)]
mod tests {
    use bij_core::Bytes;

    use super::*;

    #[test]
    fn capacity_and_warnings_are_reported() {
        let status = CoordinatorStatus {
            version: String::new(),
            since: "2026-11-23T22:00:00Z".parse().unwrap(),
            seq: 1,
            waiting: 0,
            held: 0,
            running: 1,
            slots: Some(4),
            memory_budget: Some(Bytes::new(24 << 30)),
            memory_claimed: Bytes::new(8 << 30),
            gpu_memory: None,
            gpu_memory_why: None,
            paused_by: Some("alice".to_owned()),
            paused_since: None,
            troubles: vec!["the disk is full\u{1b}[2J".to_owned()],
        };
        assert_eq!(capacity_line(&status), "1 of 4 slots taken, 8.0G of 24.0G of memory claimed.");
        assert_eq!(
            coordinator_warnings(&status),
            ["no run starts: admission was paused by alice", "the disk is full"]
        );
        let unbounded = CoordinatorStatus {
            slots: None,
            memory_budget: None,
            paused_by: None,
            troubles: Vec::new(),
            ..status
        };
        assert_eq!(capacity_line(&unbounded), "1 up, 8.0G of memory claimed.");
        assert!(coordinator_warnings(&unbounded).is_empty());
    }
}
