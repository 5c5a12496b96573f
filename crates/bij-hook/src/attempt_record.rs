//! Files in the runtime directory that `end` reads: the record that `begin` wrote, and an order to stop.

use bij_core::{
    AttemptKey, AttemptNumber, ExperimentId, Layout, LeftBehind, MonotonicTime, Order, RunId,
    RunNumber, Timestamp,
};
use bij_host::{files, logged};
use serde::{Deserialize, Serialize};

/// Largest record in bytes. It has a few hundred; older versions also kept the starts of the boot in it.
const MAX_RECORD_LEN: u64 = 32 * 1024;
/// Largest order in bytes: a line of JSON.
const MAX_ORDER_LEN: u64 = 16 * 1024;

/// An attempt that was begun in this boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The key of the attempt in the ledger.
    pub key: AttemptKey,
    /// The numbers of the attempt; `None` if the ledger could not give any.
    #[serde(rename = "place")]
    pub numbers: Option<AttemptNumbers>,
    /// When the attempt was begun.
    pub started: Timestamp,
    /// When the attempt was begun by `CLOCK_MONOTONIC`.
    pub started_since_boot: Option<MonotonicTime>,
    /// OOM kills that its control group had counted before it began.
    ///
    /// A control group is usually removed with the previous attempt, but systemd does not guarantee that.
    pub oom_kills_before: Option<u64>,
    /// Hits of the memory limit that its control group had counted before it began.
    pub memory_limit_hits_before: Option<u64>,
    /// Why the start was refused before the process ran.
    #[serde(default)]
    pub refusal: Option<String>,
    /// Processes that outlived its main process, which ended well.
    #[serde(default)]
    pub left_behind: Option<LeftBehind>,
}

/// The numbers of an attempt in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNumbers {
    /// The number of the run.
    pub run: RunNumber,
    /// The number of the attempt within the run.
    pub attempt: AttemptNumber,
    /// Earlier crashes of the experiment.
    pub crashes: u64,
}

impl AttemptRecord {
    /// Returns the newest record of an experiment. An unreadable record is logged, and `None`.
    pub fn read(layout: &Layout, id: &ExperimentId) -> Option<Self> {
        let path = layout.attempt_record(id);
        let text = files::read_own(&path, MAX_RECORD_LEN, layout)
            .inspect_err(|error| log::warn!("cannot read {}: {error}", path.display()))
            .ok()??;
        serde_json::from_str(&text)
            .inspect_err(|error| log::warn!("cannot parse {}: {error}", path.display()))
            .ok()
    }

    /// Writes the record for `end`.
    ///
    /// # Errors
    /// The error of the system; the previous record is then unchanged.
    pub fn write(&self, layout: &Layout, id: &ExperimentId) -> std::io::Result<()> {
        let text = serde_json::to_string(self)?;
        files::put(&layout.attempt_record(id), text.as_bytes(), 0o644)
    }

    /// Returns the run of the attempt, if it is known.
    pub fn run(&self, id: &ExperimentId) -> Option<RunId> {
        self.numbers.map(|numbers| RunId { experiment: id.clone(), number: numbers.run })
    }
}

/// Returns the order to stop that is in force for an experiment. An unreadable order is logged, and `None`.
pub fn read_order(layout: &Layout, id: &ExperimentId) -> Option<Order> {
    let text = files::read_own(&layout.order(id), MAX_ORDER_LEN, layout);
    let text = logged(text, "cannot read the order to stop").flatten()?;
    logged(serde_json::from_str(&text), "cannot parse the order to stop")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bij_core::{BootId, InvocationId};

    use super::*;

    #[test]
    fn a_record_comes_back_and_a_broken_one_is_none() {
        let tree = tempfile::tempdir().unwrap();
        let layout = Layout::system(tree.path());
        let id = ExperimentId::new("a.b").unwrap();
        assert_eq!(AttemptRecord::read(&layout, &id), None);
        let record = AttemptRecord {
            key: AttemptKey {
                boot: BootId::from_bytes([1; 16]),
                invocation: InvocationId::from_bytes([2; 16]),
            },
            numbers: None,
            started: Timestamp::from_micros(7),
            started_since_boot: Some(MonotonicTime::from_secs(3)),
            oom_kills_before: Some(0),
            memory_limit_hits_before: None,
            refusal: Some("its program is not there".to_owned()),
            left_behind: LeftBehind::new(["sleep"]),
        };
        record.write(&layout, &id).unwrap();
        assert_eq!(AttemptRecord::read(&layout, &id), Some(record));
        let path = layout.attempt_record(&id);
        assert!(path.ends_with(Path::new("run/brain-in-jar/attempts/a.b.json")));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(AttemptRecord::read(&layout, &id), None);
    }
}
