//! Admission of starts that do not come from the queue.

use super::WaitReason;
use crate::RunNumber;

/// A request of the start hook: may the unit start now?
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct AdmissionRequest {
    /// Whether the machine is booting.
    #[cfg_attr(feature = "serde", serde(default))]
    pub at_boot: bool,
    /// The deadline of the caller, in microseconds of `CLOCK_BOOTTIME`, after which the request must be ignored. Absent
    /// for no deadline.
    #[cfg_attr(feature = "serde", serde(default))]
    pub until: Option<u64>,
    /// The unit's invocation id (systemd.exec(5), `$INVOCATION_ID`), in hexadecimal. It identifies a refused start when
    /// the service manager reports it as skipped.
    #[cfg_attr(feature = "serde", serde(default))]
    pub invocation: Option<String>,
}

/// The answer to an [`AdmissionRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Admission {
    /// Whether the unit may start now.
    pub admitted: bool,
    /// The number of its run; absent if it has none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub run: Option<RunNumber>,
    /// The reason for a refusal, without a full stop; for an admission, remarks.
    #[cfg_attr(feature = "serde", serde(default))]
    pub text: Option<String>,
    /// All closed gates of the run.
    #[cfg_attr(feature = "serde", serde(default))]
    pub waiting_on: Vec<WaitReason>,
    /// Whether a refused start could not be queued, so that the caller must defer it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub unrecorded: bool,
}

impl Admission {
    /// Returns the answer that the unit may start.
    pub const fn admitted(run: Option<RunNumber>) -> Self {
        Self { admitted: true, run, text: None, waiting_on: Vec::new(), unrecorded: false }
    }

    /// Returns the answer that the unit may not start now, with the reason.
    pub const fn refused(run: Option<RunNumber>, text: String) -> Self {
        Self { admitted: false, run, text: Some(text), waiting_on: Vec::new(), unrecorded: false }
    }
}
