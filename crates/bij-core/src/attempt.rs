//! One life of a run's process, as the ledger keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AttemptBoard, AttemptNumber, BootId, Cause, Evidence, InvocationId, Progress, RunEnd, RunId,
    Timestamp,
};

/// What names an attempt whoever speaks of it: the boot, and systemd's id of the unit's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The boot it lived in.
    pub boot: BootId,
    /// The unit's life it was.
    pub invocation: InvocationId,
}

/// One life of a run's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number within the run.
    pub number: AttemptNumber,
    /// Its key.
    pub key: AttemptKey,
    /// When it was opened.
    pub started: Timestamp,
    /// When it was up, where that is known.
    pub ready: Option<Timestamp>,
    /// How it ended; `None` while it is open.
    pub end: Option<AttemptEnd>,
    /// What the board went through while it lived; `None` while it is open, and where nobody watched
    /// all of its life.
    pub board: Option<AttemptBoard>,
}

impl Attempt {
    /// Whether a reboot, the end of the user's service manager or heat ended it: the next start of its
    /// run is another attempt of it, in whichever boot.
    pub fn was_interrupted(&self) -> bool {
        self.end.as_ref().is_some_and(|end| {
            matches!(end.cause, Cause::Reboot | Cause::ManagerStop | Cause::Heat)
        })
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// When; may lie before the start if the clock went back.
    pub at: Timestamp,
    /// Why, from the evidence.
    pub cause: Cause,
    /// What the witnesses said.
    pub evidence: Evidence,
}

impl AttemptEnd {
    /// Whether it is a crash.
    pub fn is_crash(&self) -> bool {
        self.cause.is_crash(self.evidence.exit.and_then(crate::Exit::code))
    }
}

/// What an experiment's whole history adds up to. Its counters never go back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Attempts, open ones included.
    pub attempts: u64,
    /// Attempts that crashed, over all runs.
    pub crashes: u64,
    /// Crashed attempts by cause.
    pub crashes_by_cause: BTreeMap<Cause, u64>,
    /// The newest attempt.
    pub last: Option<Attempt>,
    /// How the run of the newest attempt ended, if it did.
    pub last_run_end: Option<RunEnd>,
    /// The cause of the newest attempt that has ended.
    pub last_cause: Option<Cause>,
    /// The newest progress of any ended attempt that named a checkpoint.
    pub last_checkpoint: Option<Progress>,
}
