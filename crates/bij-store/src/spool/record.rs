//! The file format of a spooled record: JSON.

use bij_core::port::{Closing, Opening};
use bij_core::{
    AttemptEnd, AttemptKey, Cause, Evidence, ExperimentId, StartKind, Timestamp, UnknownCause,
    Uptime,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A change that the database did not make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpoolRecord {
    /// An attempt begins.
    Open(Opening),
    /// An attempt has ended.
    Close(Box<Closing>),
}

/// Why the content of a spool file is not a record.
#[derive(Debug, Error)]
pub(crate) enum InvalidSpoolRecord {
    /// It is not JSON, or lacks a field.
    #[error("it is not a whole record")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Cause(#[from] UnknownCause),
    #[error("it has format {0}; this bij knows format {FORMAT}")]
    Format(u32),
}

/// The only version of the format so far.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct RecordFile {
    format: u32,
    /// Order in which records are applied; clocks can jump.
    sequence: u64,
    experiment: ExperimentId,
    #[serde(flatten)]
    key: AttemptKey,
    started: Timestamp,
    #[serde(flatten)]
    body: RecordBody,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RecordBody {
    Open {
        start: StartKind,
        #[serde(default)]
        uptime: Option<Uptime>,
    },
    Close {
        ready: Option<Timestamp>,
        ended: Timestamp,
        cause: String,
        evidence: Box<Evidence>,
    },
}

impl SpoolRecord {
    pub(crate) const fn experiment(&self) -> &ExperimentId {
        match self {
            Self::Open(opening) => &opening.experiment,
            Self::Close(closing) => &closing.experiment,
        }
    }

    pub(crate) const fn key(&self) -> AttemptKey {
        match self {
            Self::Open(opening) => opening.key,
            Self::Close(closing) => closing.key,
        }
    }

    /// Returns the name of its file; equal records have equal names.
    pub(crate) fn file_name(&self) -> String {
        let AttemptKey { boot, invocation } = self.key();
        let what = match self {
            Self::Open(_) => "open",
            Self::Close(_) => "close",
        };
        format!("{boot}-{invocation}-{what}.json")
    }

    /// Formats it as one line of JSON.
    pub(crate) fn to_json(&self, sequence: u64) -> String {
        let (started, body) = match self {
            Self::Open(opening) => {
                let Opening { experiment: _, key: _, at, uptime, start } = opening;
                (*at, RecordBody::Open { start: *start, uptime: *uptime })
            }
            Self::Close(closing) => {
                let Closing { experiment: _, key: _, ready, end, started } = closing.as_ref();
                let AttemptEnd { at, cause, evidence } = end;
                let body = RecordBody::Close {
                    ready: *ready,
                    ended: *at,
                    cause: cause.to_string(),
                    evidence: Box::new(evidence.clone()),
                };
                (*started, body)
            }
        };
        let experiment = self.experiment().clone();
        let raw =
            RecordFile { format: FORMAT, sequence, experiment, key: self.key(), started, body };
        serde_json::to_string(&raw)
            .expect("a record is plain data with text keys, which JSON can always write")
    }

    /// Parses a record and its sequence number.
    pub(crate) fn from_json(text: &[u8]) -> Result<(u64, Self), InvalidSpoolRecord> {
        let RecordFile { format, sequence, experiment, key, started, body } =
            serde_json::from_slice(text)?;
        if format != FORMAT {
            return Err(InvalidSpoolRecord::Format(format));
        }
        let record = match body {
            RecordBody::Open { start, uptime } => {
                Self::Open(Opening { experiment, key, at: started, uptime, start })
            }
            RecordBody::Close { ready, ended, cause, evidence } => {
                let end =
                    AttemptEnd { at: ended, cause: cause.parse::<Cause>()?, evidence: *evidence };
                Self::Close(Box::new(Closing { experiment, key, ready, end, started }))
            }
        };
        Ok((sequence, record))
    }
}

#[cfg(test)]
mod tests {
    use bij_sim::contract::ledger_fixture as fixture;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let opening = fixture::restart("x", 1, 7);
        let evidence = fixture::with_checkpoint(3, fixture::oom_kill());
        let closing = fixture::end(&opening, evidence);
        for record in [SpoolRecord::Open(opening), SpoolRecord::Close(Box::new(closing))] {
            let text = record.to_json(42);
            assert_eq!(SpoolRecord::from_json(text.as_bytes()).unwrap(), (42, record), "{text}");
        }
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let text = SpoolRecord::Open(fixture::fresh("x", 1, 1)).to_json(1);
        for cut in 0..text.len() {
            assert!(SpoolRecord::from_json(&text.as_bytes()[..cut]).is_err(), "{cut}");
        }
        let newer = text.replace("\"format\":1", "\"format\":2");
        assert!(matches!(
            SpoolRecord::from_json(newer.as_bytes()),
            Err(InvalidSpoolRecord::Format(2))
        ));
        let elsewhere = text.replace("\"experiment\":\"x\"", "\"experiment\":\"../x\"");
        assert!(SpoolRecord::from_json(elsewhere.as_bytes()).is_err());
    }
}
