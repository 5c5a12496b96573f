//! How full the machine is, and what is wrong with the coordinator, as asides on stderr.

use bij_api::message::CoordinatorStatus;

use super::escape::visible;

/// `1 of 4 slots taken, 8.0G of 24.0G claimed.`
pub(crate) fn taken(status: &CoordinatorStatus) -> String {
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

/// What whoever looks at the queue must know besides.
pub(crate) fn warnings(status: &CoordinatorStatus) -> Vec<String> {
    let paused = status.paused_by.as_ref();
    let paused =
        paused.map(|by| format!("nothing starts: admission was paused by {}", visible(by)));
    let troubles = status.troubles.iter().map(|trouble| visible(trouble).into_owned());
    paused.into_iter().chain(troubles).collect()
}

#[cfg(test)]
mod tests {
    use bij_core::Bytes;

    use super::*;

    #[test]
    fn it_tells_what_is_taken_and_what_is_wrong() {
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
        assert_eq!(taken(&status), "1 of 4 slots taken, 8.0G of 24.0G of memory claimed.");
        assert_eq!(
            warnings(&status),
            ["nothing starts: admission was paused by alice", "the disk is full"]
        );
        let unbounded = CoordinatorStatus {
            slots: None,
            memory_budget: None,
            paused_by: None,
            troubles: Vec::new(),
            ..status
        };
        assert_eq!(taken(&unbounded), "1 up, 8.0G of memory claimed.");
        assert!(warnings(&unbounded).is_empty());
    }
}
