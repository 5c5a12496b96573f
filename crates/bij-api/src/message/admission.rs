//! Admission of starts that do not come from the queue.

use bij_core::RunNumber;
use serde::{Deserialize, Serialize};

use super::Waiting;

/// A request of the start hook: may the unit start now?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmissionRequest {
    /// Whether the machine is booting.
    #[serde(default)]
    pub at_boot: bool,
    /// The deadline of the caller, in microseconds of `CLOCK_BOOTTIME`, after which the request must be ignored. Absent
    /// for no deadline.
    #[serde(default)]
    pub until: Option<u64>,
    /// The unit's invocation id (systemd.exec(5), `$INVOCATION_ID`), in hexadecimal. It identifies a refused start when
    /// the service manager reports it as skipped.
    #[serde(default)]
    pub invocation: Option<String>,
}

/// The answer to an [`AdmissionRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whether the unit may start now.
    pub admitted: bool,
    /// The number of its run; absent if it has none.
    #[serde(default)]
    pub run: Option<RunNumber>,
    /// The reason for a refusal, without a full stop; for an admission, remarks.
    #[serde(default)]
    pub text: Option<String>,
    /// All closed gates of the run.
    #[serde(default)]
    pub waiting_on: Vec<Waiting>,
    /// Whether a refused start could not be queued, so that the caller must defer it.
    #[serde(default)]
    pub unrecorded: bool,
}
