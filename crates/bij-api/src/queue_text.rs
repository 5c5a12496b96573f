//! The queue as one text, in which what many runs wait for alike stands once.
//!
//! Ten thousand runs wait for much the same. Told by each of them, their gates would be most of what
//! is sent, and of what both sides make and read.

use std::sync::Arc;

use bij_core::Timestamp;
use bij_core::queue::Amount;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::message::{Entry, Waiting};

/// So many of the newest gates are looked through for one that is told already: runs that wait for the
/// same stand side by side, and no list of odd ones is gone through again and again.
const LOOKED_THROUGH: usize = 8;

/// A piece of the queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueueText {
    gates: Vec<Told>,
    runs: Vec<Entry<Vec<Closed>>>,
}

/// A gate as many runs find it, whenever it has closed for each.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    gate: Arc<str>,
    need: Option<Amount>,
    have: Option<Amount>,
    text: Arc<str>,
}

/// Which of the gates, and since when: microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Closed(usize, i64);

/// A run waits for a gate that is not told.
#[derive(Debug, Error)]
#[error("there is no gate {0}")]
pub(crate) struct NoSuchGate(usize);

impl QueueText {
    /// The text of these runs.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        let mut text = Self { gates: Vec::new(), runs: Vec::with_capacity(entries.len()) };
        for entry in entries {
            let closed = entry.waiting_on.iter().map(|waiting| text.closed(waiting)).collect();
            text.runs.push(entry.telling(closed));
        }
        text
    }

    fn closed(&mut self, waiting: &Waiting) -> Closed {
        let since = waiting.since.as_micros();
        let newest = self.gates.iter().enumerate().rev().take(LOOKED_THROUGH);
        let told = newest.clone().find(|(_, gate)| gate.is_of(waiting)).map(|(at, _)| at);
        let number = told.unwrap_or_else(|| {
            self.gates.push(Told::of(waiting));
            self.gates.len() - 1
        });
        Closed(number, since)
    }

    /// The runs. Neighbours that wait for the same since the same time share one list.
    ///
    /// # Errors
    /// [`NoSuchGate`] if the text is not whole.
    pub(crate) fn entries(self) -> Result<Vec<Entry>, NoSuchGate> {
        let Self { gates, runs } = self;
        let mut before: (Vec<Closed>, Arc<[Waiting]>) = (Vec::new(), Arc::default());
        let mut entries = Vec::with_capacity(runs.len());
        for mut entry in runs {
            let closed = std::mem::take(&mut entry.waiting_on);
            if closed != before.0 {
                let waiting = closed.iter().map(|closed| closed.waiting(&gates));
                let waiting = waiting.collect::<Result<_, _>>()?;
                before = (closed, waiting);
            }
            entries.push(entry.telling(Arc::clone(&before.1)));
        }
        Ok(entries)
    }
}

impl Told {
    fn of(waiting: &Waiting) -> Self {
        let Waiting { gate, need, have, since: _, text } = waiting.clone();
        Self { gate, need, have, text }
    }

    fn is_of(&self, waiting: &Waiting) -> bool {
        let Waiting { gate, need, have, since: _, text } = waiting;
        self.text == *text && self.gate == *gate && self.need == *need && self.have == *have
    }
}

impl Closed {
    fn waiting(self, gates: &[Told]) -> Result<Waiting, NoSuchGate> {
        let Self(number, since) = self;
        let told = gates.get(number).ok_or(NoSuchGate(number))?;
        Ok(Waiting {
            gate: Arc::clone(&told.gate),
            need: told.need.clone(),
            have: told.have.clone(),
            since: Timestamp::from_micros(since),
            text: Arc::clone(&told.text),
        })
    }
}

#[cfg(test)]
mod tests {
    use bij_core::RunEnd;
    use proptest::prelude::*;

    use super::*;

    fn waiting() -> impl Strategy<Value = Waiting> {
        let amount = || prop::option::of((0..2u64).prop_map(Amount::Number));
        (0..12u8, amount(), amount(), 0..2i64).prop_map(|(gate, need, have, since)| Waiting {
            gate: format!("gate {gate}").into(),
            need,
            have,
            since: Timestamp::from_micros(since),
            text: format!("{gate} is closed").into(),
        })
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let lists = prop::collection::vec(prop::collection::vec(waiting(), 0..4), 0..30);
        lists.prop_map(|lists| {
            let entries = lists.into_iter().zip(1..).map(|(waiting_on, number): (_, u32)| {
                let run = format!("x#{number}").parse().unwrap();
                Entry { waiting_on: waiting_on.into(), ..Entry::over(run, RunEnd::Success) }
            });
            entries.collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_told_once_reads_as_if_each_run_had_told_it(entries in entries()) {
            let text = serde_json::to_string(&QueueText::of(entries.clone())).unwrap();
            let read: QueueText = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.entries().unwrap(), entries);
        }
    }

    #[test]
    fn what_thousands_wait_for_alike_is_sent_and_kept_once() {
        let run = "x#1".parse().unwrap();
        let waiting = Waiting {
            gate: "slots".into(),
            need: None,
            have: None,
            since: Timestamp::from_micros(7),
            text: "4 of 4 slots are taken".into(),
        };
        let entry = Entry { waiting_on: [waiting].into(), ..Entry::over(run, RunEnd::Success) };
        let text = QueueText::of(vec![entry; 1000]);
        assert_eq!(text.gates.len(), 1);
        let entries = text.entries().unwrap();
        assert!(entries.windows(2).all(|two| Arc::ptr_eq(&two[0].waiting_on, &two[1].waiting_on)));
    }

    #[test]
    fn a_gate_that_is_not_told_is_an_error() {
        let text = QueueText::of(vec![Entry::over("x#1".parse().unwrap(), RunEnd::Success)]);
        let json = serde_json::to_string(&text).unwrap();
        let json = json.replace("\"waiting_on\":[]", "\"waiting_on\":[[3,7]]");
        let text: QueueText = serde_json::from_str(&json).unwrap();
        assert!(matches!(text.entries(), Err(NoSuchGate(3))));
    }
}
