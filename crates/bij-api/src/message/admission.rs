//! The answer to a start that came from elsewhere.

use bij_core::RunNumber;
use serde::{Deserialize, Serialize};

use super::Waiting;

/// A start that came from elsewhere and asks whether it may go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmissionRequest {
    /// Whether the machine is booting.
    #[serde(default)]
    pub at_boot: bool,
    /// Whoever asks has given up by then, in microseconds of `CLOCK_BOOTTIME`: nothing is to be made
    /// of the question any more. Absent is never.
    #[serde(default)]
    pub until: Option<u64>,
    /// The unit's invocation id (systemd.exec(5), `$INVOCATION_ID`), in hexadecimal: by it a start that was
    /// turned away is known when the service manager tells that it was skipped.
    #[serde(default)]
    pub invocation: Option<String>,
}

/// Whether a unit may start now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whether it may.
    pub admitted: bool,
    /// The number of the run it is about; absent where none was made.
    #[serde(default)]
    pub run: Option<RunNumber>,
    /// Why not, as a sentence without a full stop; for a yes, anything worth telling.
    #[serde(default)]
    pub text: Option<String>,
    /// Every closed gate.
    #[serde(default)]
    pub waiting_on: Vec<Waiting>,
    /// It may not, and could not be put into the queue: the caller has to keep the start.
    #[serde(default)]
    pub unrecorded: bool,
}
