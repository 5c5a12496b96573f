//! The queue as one text, in which a gate that many runs share is written once.
//!
//! Ten thousand runs wait for nearly the same gates, which would otherwise be most of the text.

use std::sync::Arc;

use bij_core::Timestamp;
use bij_core::queue::Amount;
use bij_core::request::{QueueEntry, WaitReason};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Number of newest gates that are searched for an equal one. Runs with equal gates are next to each other, and a limit
/// avoids quadratic time.
const SEARCHED_GATES: usize = 8;

/// A page of the queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueueText {
    gates: Vec<SharedGate>,
    runs: Vec<QueueEntry<Vec<GateRef>>>,
}

/// A closed gate without its time, shared by many runs.
#[derive(Debug, Serialize, Deserialize)]
struct SharedGate {
    gate: Arc<str>,
    need: Option<Amount>,
    have: Option<Amount>,
    text: Arc<str>,
}

/// Position of a shared gate, and since when it is closed for a run, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct GateRef(usize, i64);

/// A run refers to a gate that the text does not have.
#[derive(Debug, Error)]
#[error("there is no gate {0}")]
pub(crate) struct NoSuchGate(usize);

impl QueueText {
    /// Returns the text of these runs.
    pub(crate) fn from_entries(entries: Vec<QueueEntry>) -> Self {
        let mut text = Self { gates: Vec::new(), runs: Vec::with_capacity(entries.len()) };
        for entry in entries {
            let closed = entry.waiting_on.iter().map(|waiting| text.gate_ref(waiting)).collect();
            text.runs.push(entry.with_waiting_on(closed));
        }
        text
    }

    fn gate_ref(&mut self, waiting: &WaitReason) -> GateRef {
        let since = waiting.since.as_micros();
        let newest = self.gates.iter().enumerate().rev().take(SEARCHED_GATES);
        let known = newest.clone().find(|(_, gate)| gate.matches(waiting)).map(|(at, _)| at);
        let number = known.unwrap_or_else(|| {
            self.gates.push(SharedGate::from_waiting(waiting));
            self.gates.len() - 1
        });
        GateRef(number, since)
    }

    /// Returns the runs. Consecutive runs with equal gates share one list.
    ///
    /// # Errors
    /// [`NoSuchGate`] if the text lacks a gate.
    pub(crate) fn entries(self) -> Result<Vec<QueueEntry>, NoSuchGate> {
        let Self { gates, runs } = self;
        let mut before: (Vec<GateRef>, Arc<[WaitReason]>) = (Vec::new(), Arc::default());
        let mut entries = Vec::with_capacity(runs.len());
        for mut entry in runs {
            let closed = std::mem::take(&mut entry.waiting_on);
            if closed != before.0 {
                let waiting = closed.iter().map(|closed| closed.waiting(&gates));
                let waiting = waiting.collect::<Result<_, _>>()?;
                before = (closed, waiting);
            }
            entries.push(entry.with_waiting_on(Arc::clone(&before.1)));
        }
        Ok(entries)
    }
}

impl SharedGate {
    fn from_waiting(waiting: &WaitReason) -> Self {
        let WaitReason { gate, need, have, since: _, text } = waiting.clone();
        Self { gate, need, have, text }
    }

    fn matches(&self, waiting: &WaitReason) -> bool {
        let WaitReason { gate, need, have, since: _, text } = waiting;
        self.text == *text && self.gate == *gate && self.need == *need && self.have == *have
    }
}

impl GateRef {
    fn waiting(self, gates: &[SharedGate]) -> Result<WaitReason, NoSuchGate> {
        let Self(number, since) = self;
        let shared = gates.get(number).ok_or(NoSuchGate(number))?;
        Ok(WaitReason {
            gate: Arc::clone(&shared.gate),
            need: shared.need.clone(),
            have: shared.have.clone(),
            since: Timestamp::from_micros(since),
            text: Arc::clone(&shared.text),
        })
    }
}

#[cfg(test)]
mod tests {
    use bij_core::RunEnd;
    use proptest::prelude::*;

    use super::*;

    fn waiting() -> impl Strategy<Value = WaitReason> {
        let amount = || prop::option::of((0..2u64).prop_map(Amount::Number));
        (0..12u8, amount(), amount(), 0..2i64).prop_map(|(gate, need, have, since)| WaitReason {
            gate: format!("gate {gate}").into(),
            need,
            have,
            since: Timestamp::from_micros(since),
            text: format!("{gate} is closed").into(),
        })
    }

    fn entries() -> impl Strategy<Value = Vec<QueueEntry>> {
        let lists = prop::collection::vec(prop::collection::vec(waiting(), 0..4), 0..30);
        lists.prop_map(|lists| {
            let entries = lists.into_iter().zip(1..).map(|(waiting_on, number): (_, u32)| {
                let run = format!("x#{number}").parse().unwrap();
                QueueEntry {
                    waiting_on: waiting_on.into(),
                    ..QueueEntry::ended(run, RunEnd::Success)
                }
            });
            entries.collect()
        })
    }

    proptest! {
        #[test]
        fn shared_gates_are_read_as_the_gates_of_each_run(entries in entries()) {
            let text = serde_json::to_string(&QueueText::from_entries(entries.clone())).unwrap();
            let read: QueueText = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.entries().unwrap(), entries);
        }
    }

    #[test]
    fn equal_gates_of_many_runs_are_sent_and_stored_once() {
        let run = "x#1".parse().unwrap();
        let waiting = WaitReason {
            gate: "slots".into(),
            need: None,
            have: None,
            since: Timestamp::from_micros(7),
            text: "4 of 4 slots are taken".into(),
        };
        let entry =
            QueueEntry { waiting_on: [waiting].into(), ..QueueEntry::ended(run, RunEnd::Success) };
        let text = QueueText::from_entries(vec![entry; 1000]);
        assert_eq!(text.gates.len(), 1);
        let entries = text.entries().unwrap();
        assert!(entries.windows(2).all(|two| Arc::ptr_eq(&two[0].waiting_on, &two[1].waiting_on)));
    }

    #[test]
    fn a_missing_gate_is_an_error() {
        let text = QueueText::from_entries(vec![QueueEntry::ended(
            "x#1".parse().unwrap(),
            RunEnd::Success,
        )]);
        let json = serde_json::to_string(&text).unwrap();
        let json = json.replace("\"waiting_on\":[]", "\"waiting_on\":[[3,7]]");
        let text: QueueText = serde_json::from_str(&json).unwrap();
        assert!(matches!(text.entries(), Err(NoSuchGate(3))));
    }
}
