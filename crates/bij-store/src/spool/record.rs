//! A record as it lies in the spool: JSON that says what the database was to be told.

use bij_core::port::{Closing, Opening};
use bij_core::{
    AttemptEnd, AttemptKey, Cause, Evidence, ExperimentId, StartKind, TimeSpan, Timestamp,
    UnknownCause,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the database was to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// An attempt begins.
    Open(Opening),
    /// An attempt has ended.
    Close(Box<Closing>),
}

/// Why a file of the spool is no record.
#[derive(Debug, Error)]
pub(crate) enum BadRecord {
    /// It is no JSON, or lacks something.
    #[error("it is not a whole record")]
    Json(#[from] serde_json::Error),
    /// Its cause is no word of ours.
    #[error(transparent)]
    Cause(#[from] UnknownCause),
    /// It is of another format.
    #[error("it has format {0}; this bij knows format {FORMAT}")]
    Format(u32),
}

/// The format that is written; the only one there is.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Raw {
    format: u32,
    /// Records are taken in in the order of these, not of any clock.
    sequence: u64,
    experiment: ExperimentId,
    #[serde(flatten)]
    key: AttemptKey,
    started: Timestamp,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Open {
        start: StartKind,
        #[serde(default)]
        uptime: Option<TimeSpan>,
    },
    Close {
        ready: Option<Timestamp>,
        ended: Timestamp,
        cause: String,
        evidence: Box<Evidence>,
    },
}

impl Record {
    /// Whose.
    pub(crate) const fn experiment(&self) -> &ExperimentId {
        match self {
            Self::Open(opening) => &opening.experiment,
            Self::Close(closing) => &closing.experiment,
        }
    }

    /// Which attempt.
    pub(crate) const fn key(&self) -> AttemptKey {
        match self {
            Self::Open(opening) => opening.key,
            Self::Close(closing) => closing.key,
        }
    }

    /// Its file's name: the same record has the same.
    pub(crate) fn file_name(&self) -> String {
        let AttemptKey { boot, invocation } = self.key();
        let what = match self {
            Self::Open(_) => "open",
            Self::Close(_) => "close",
        };
        format!("{boot}-{invocation}-{what}.json")
    }

    /// As one line of JSON.
    pub(crate) fn to_json(&self, sequence: u64) -> String {
        let (started, what) = match self {
            Self::Open(opening) => {
                let Opening { experiment: _, key: _, at, uptime, start } = opening;
                (*at, What::Open { start: *start, uptime: *uptime })
            }
            Self::Close(closing) => {
                let Closing { experiment: _, key: _, ready, end, started } = closing.as_ref();
                let AttemptEnd { at, cause, evidence } = end;
                let what = What::Close {
                    ready: *ready,
                    ended: *at,
                    cause: cause.to_string(),
                    evidence: Box::new(evidence.clone()),
                };
                (*started, what)
            }
        };
        let experiment = self.experiment().clone();
        let raw = Raw { format: FORMAT, sequence, experiment, key: self.key(), started, what };
        serde_json::to_string(&raw)
            .expect("a record is plain data with text keys, which JSON can always write")
    }

    /// From JSON, with its place in the order.
    pub(crate) fn from_json(text: &[u8]) -> Result<(u64, Self), BadRecord> {
        let Raw { format, sequence, experiment, key, started, what } =
            serde_json::from_slice(text)?;
        if format != FORMAT {
            return Err(BadRecord::Format(format));
        }
        let record = match what {
            What::Open { start, uptime } => {
                Self::Open(Opening { experiment, key, at: started, uptime, start })
            }
            What::Close { ready, ended, cause, evidence } => {
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
        for record in [Record::Open(opening), Record::Close(Box::new(closing))] {
            let text = record.to_json(42);
            assert_eq!(Record::from_json(text.as_bytes()).unwrap(), (42, record), "{text}");
        }
    }

    #[test]
    fn a_damaged_record_is_none() {
        let text = Record::Open(fixture::fresh("x", 1, 1)).to_json(1);
        for cut in 0..text.len() {
            assert!(Record::from_json(&text.as_bytes()[..cut]).is_err(), "{cut}");
        }
        let newer = text.replace("\"format\":1", "\"format\":2");
        assert!(matches!(Record::from_json(newer.as_bytes()), Err(BadRecord::Format(2))));
        let elsewhere = text.replace("\"experiment\":\"x\"", "\"experiment\":\"../x\"");
        assert!(Record::from_json(elsewhere.as_bytes()).is_err());
    }
}
