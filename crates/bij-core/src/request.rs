//! Requests to a coordinator, and their answers: the same values in the client, the server and the coordinator, on the
//! wire and in the output of `bij --json`.
//!
//! Times are RFC 3339 in UTC, sizes are integers of bytes. In JSON every key is present and an absent value is `null`; on
//! the wire an absent value has no key. An answer may get more keys, and clients ignore unknown ones. A request with an
//! unknown key is refused, because ignoring a condition could start a run that should wait.

mod act;
mod admission;
mod board;
mod entry;
mod group;
mod history;
mod query;
mod status;
mod submit;
mod unit;

pub use act::{Act, MoveTo, RunOutcome};
pub use admission::{Admission, AdmissionRequest};
pub use board::{BoardQuery, PowerModeRequest, PowerSet, RecordedSample, ZoneSample};
pub use entry::{EntryState, QueueEntry, WaitReason, Why};
pub use group::{GroupSetting, GroupStatus, PauseRequest};
pub use history::{
    AttemptsPart, AttemptsQuery, HISTORY_PAGE_LEN, InvalidAttemptsQuery, Minutes, MinutesQuery,
    TalliesQuery,
};
pub use query::{EventQuery, PAGE_LEN, Page, QueueQuery};
pub use status::CoordinatorStatus;
pub use submit::{Edit, Submit, SubmitOptions};
pub use unit::{UnitDone, UnitEffect, UnitRequest, UnitVerb};

/// Serializes a run as text, `amnesiac_001#3`.
#[cfg(feature = "serde")]
mod run_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::RunId;

    pub(super) fn serialize<S: Serializer>(run: &RunId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(run)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RunId, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Serializes runs as texts.
#[cfg(feature = "serde")]
mod run_texts {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::RunId;

    pub(super) fn serialize<S: Serializer>(runs: &[RunId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(runs.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RunId>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}
