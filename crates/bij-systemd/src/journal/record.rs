//! A record in the format of `journalctl -o json`, and systemd's message ids.

use std::collections::HashMap;

use bij_core::{MonotonicTime, Timestamp};
use serde_json::Value;
use thiserror::Error;

/// Why a line is no record.
#[derive(Debug, Error)]
#[error("a line of {length} bytes is no JSON object")]
pub struct InvalidJournalRecord {
    /// Length of the line in bytes.
    pub length: usize,
    /// The error of the JSON parser.
    #[source]
    pub source: serde_json::Error,
}

/// A record, as field values by name.
#[derive(Clone, Debug)]
pub(crate) struct Record(HashMap<String, Value>);

impl Record {
    pub(crate) fn parse(line: &[u8]) -> Result<Self, InvalidJournalRecord> {
        let invalid = |source| InvalidJournalRecord { length: line.len(), source };
        serde_json::from_slice(line).map(Self).map_err(invalid)
    }

    /// Returns a field as text; the first of repeated fields, with invalid UTF-8 replaced.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        to_text(self.0.get(name)?)
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    pub(crate) fn is(&self, message_id: &str) -> bool {
        self.text("MESSAGE_ID").as_deref() == Some(message_id)
    }

    /// Returns when the record was written.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        self.number("__REALTIME_TIMESTAMP").map(Timestamp::from_micros)
    }

    /// Returns when the record was written, by `CLOCK_MONOTONIC`.
    pub(crate) fn monotonic(&self) -> Option<MonotonicTime> {
        self.number("__MONOTONIC_TIMESTAMP").map(MonotonicTime::from_micros)
    }

    /// Returns `true` if the record was written before this time.
    pub(crate) fn is_before(&self, time: Option<MonotonicTime>) -> bool {
        self.monotonic().zip(time).is_some_and(|(written, from)| written < from)
    }
}

/// Converts a field value. journalctl writes text as a string, other data as an array of bytes, a repeated field as an
/// array of these, and a field that is too large as null.
fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => match parts.first()? {
            Value::Number(_) => {
                let byte = |part: &Value| part.as_u64().and_then(|byte| u8::try_from(byte).ok());
                let bytes: Option<Vec<u8>> = parts.iter().map(byte).collect();
                Some(String::from_utf8_lossy(&bytes?).into_owned())
            }
            first => to_text(first),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// The message ids of systemd's records about units (`sd-messages.h`).
pub(super) mod message_id {
    /// A process of a unit ended with a failure: `EXIT_CODE`, `EXIT_STATUS`, `COMMAND`.
    pub(in crate::journal) const PROCESS_EXIT: &str = "98e322203f7a4ed290d09fe03c09fe15";
    /// A unit failed: `UNIT_RESULT`.
    pub(in crate::journal) const FAILURE_RESULT: &str = "d9b373ed55a64feb8242e02dbe79a49c";
    /// A unit ended successfully.
    pub(in crate::journal) const SUCCESS: &str = "7ad2d189f7e94e70a38c781354912448";
    /// The kernel OOM-killed a process of a unit (cgroup v2 only).
    pub(in crate::journal) const OUT_OF_MEMORY: &str = "fe6faa94e7774663a0da52717891d8ef";
    /// systemd-oomd killed a unit.
    pub(in crate::journal) const OOMD_KILL: &str = "d989611b15e44c9dbf31e3c81256e4ed";
    /// An automatic restart was scheduled.
    pub(in crate::journal) const RESTART_SCHEDULED: &str = "5eb03494b6584870a536b337290809b3";
    /// A start job is done.
    pub(in crate::journal) const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";
    /// A stop job begins.
    pub(in crate::journal) const STOPPING: &str = "de5b426a63be47a7b6ac3eaac82e2f6f";
    /// The resources that a unit used: `CPU_USAGE_NSEC`, `MEMORY_PEAK`.
    pub(in crate::journal) const RESOURCES: &str = "ae8f7b866b0347b9af31fe1c80b127c0";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_field_is_read() {
        let record = Record::parse(
            br#"{"A":"text","B":[104,105,255],"C":["first","second"],"D":null,"E":[[104,105],"x"],"F":"7"}"#,
        )
        .unwrap();
        assert_eq!(record.text("A").as_deref(), Some("text"));
        assert_eq!(record.text("B").as_deref(), Some("hi\u{fffd}"));
        assert_eq!(record.text("C").as_deref(), Some("first"));
        assert_eq!(record.text("D"), None);
        assert_eq!(record.text("E").as_deref(), Some("hi"));
        assert_eq!(record.number::<i32>("F"), Some(7));
        assert!(Record::parse(b"-- No entries --").is_err());
    }
}
