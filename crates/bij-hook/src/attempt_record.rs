//! What `begin` leaves for `end`.

use bij_core::{
    AttemptKey, AttemptNumber, ExperimentId, Layout, LeftBehind, RunId, RunNumber, TimeSpan,
    Timestamp,
};
use bij_host::files;
use serde::{Deserialize, Serialize};

/// It is a few hundred bytes of ours. Before, it had the starts of its boot as well.
const CAP: u64 = 32 * 1024;

/// An attempt that was begun in this boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Its key.
    pub key: AttemptKey,
    /// Its place in history, where the ledger told it.
    #[serde(rename = "place")]
    pub numbers: Option<AttemptNumbers>,
    /// When it was begun.
    pub started: Timestamp,
    /// The same by the clock that counts from boot and does not jump.
    pub started_since_boot: Option<TimeSpan>,
    /// Kills for memory that its control group had counted before it began.
    ///
    /// A control group usually dies with the attempt before, but nobody promises that.
    pub oom_kills_before: Option<u64>,
    /// Hits of the memory limit counted before it began.
    pub memory_limit_hits_before: Option<u64>,
    /// Why its start was given up before the process ran.
    #[serde(default)]
    pub refusal: Option<String>,
    /// What its main process left behind, once that has ended well.
    #[serde(default)]
    pub left_behind: Option<LeftBehind>,
}

/// The numbers of an attempt in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNumbers {
    /// The run.
    pub run: RunNumber,
    /// The attempt within the run.
    pub attempt: AttemptNumber,
    /// Crashes of the experiment before it.
    pub crashes: u64,
}

impl AttemptRecord {
    /// The newest record of an experiment, if there is one that can be read.
    pub fn read(layout: &Layout, id: &ExperimentId) -> Option<Self> {
        let path = layout.attempt_record(id);
        let text = files::read_own(&path, CAP, layout)
            .inspect_err(|error| log::warn!("cannot read {}: {error}", path.display()))
            .ok()??;
        serde_json::from_str(&text)
            .inspect_err(|error| log::warn!("{} is no record: {error}", path.display()))
            .ok()
    }

    /// Leaves the record for `end`.
    ///
    /// # Errors
    /// What the system says; the record before is then as it was.
    pub fn write(&self, layout: &Layout, id: &ExperimentId) -> std::io::Result<()> {
        let text = serde_json::to_string(self)?;
        files::put(&layout.attempt_record(id), text.as_bytes(), 0o644)
    }

    /// The run that it belongs to, where that is known.
    pub fn run(&self, id: &ExperimentId) -> Option<RunId> {
        self.numbers.map(|numbers| RunId { experiment: id.clone(), number: numbers.run })
    }
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
            started_since_boot: Some(TimeSpan::from_secs(3)),
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
