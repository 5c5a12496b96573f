//! The messages: plain values, the same on the wire and in the output of `bij --json`.
//!
//! Times are RFC 3339 in UTC, sizes are integers of bytes. In JSON every key is present and an absent value is `null`; on
//! the wire an absent value has no key. An answer may get more keys, and clients ignore unknown ones. A request with an
//! unknown key is refused, because ignoring a condition could start a run that should wait.

mod act;
mod admission;
mod board;
mod entry;
mod event;
mod group;
mod history;
mod page;
mod power;
mod status;
mod submit;
mod unit;
mod waiting;

pub use act::{Act, Changed, MoveTo, Pausing};
pub use admission::{Admission, AdmissionRequest};
pub use board::{BoardQuery, BoardSample, ZoneSample};
pub use entry::{Entry, State, Why};
pub use event::Event;
pub use group::{GroupInfo, GroupSetting};
pub use history::{AttemptsPart, AttemptsQuery, Minutes, MinutesQuery, TalliesQuery};
pub use page::{EventQuery, Page, QueueQuery};
pub use power::{PowerSet, PowerSetting};
pub use status::CoordinatorStatus;
pub use submit::{Edit, Submit, SubmitOptions};
pub use unit::{UnitDone, UnitEffect, UnitRequest, UnitVerb};
pub use waiting::Waiting;

use bij_core::RunId;
use serde::{Deserialize, Deserializer, Serializer};

/// Serializes a run as text, `amnesiac_001#3`.
mod run_text {
    use super::{Deserialize, Deserializer, RunId, Serializer};

    pub(super) fn serialize<S: Serializer>(run: &RunId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(run)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RunId, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Serializes runs as texts.
mod run_texts {
    use super::{Deserialize, Deserializer, RunId, Serializer};

    pub(super) fn serialize<S: Serializer>(runs: &[RunId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(runs.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RunId>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}
