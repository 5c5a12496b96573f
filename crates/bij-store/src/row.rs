//! Rows become domain types here, and nowhere else.

use std::error::Error;
use std::str::FromStr;

use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Cause, ExperimentId, InvocationId,
    RunEnd, RunId, RunNumber, Timestamp,
};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The columns that [`attempt`] reads, from `attempts a`, `runs r` and `experiments e`.
pub(crate) const ATTEMPT: &str = "a.id, e.name, r.number AS run_number, a.number, a.boot, \
     a.invocation, a.started, a.ready, a.ended, a.cause, a.evidence";

/// An attempt from a row of [`ATTEMPT`].
pub(crate) fn attempt(row: &Row<'_>) -> Result<Attempt, Failure> {
    let at = Cursor { row, id: row.get("id")? };
    let end = match row.get::<_, Option<i64>>("ended")? {
        None => None,
        Some(ended) => Some(AttemptEnd {
            at: Timestamp::from_micros(ended),
            cause: at.parsed::<Cause>("cause")?,
            evidence: at.json("evidence")?,
        }),
    };
    Ok(Attempt {
        run: RunId {
            experiment: at.parsed::<ExperimentId>("name")?,
            number: RunNumber(at.value("run_number")?),
        },
        number: AttemptNumber(at.value("number")?),
        key: AttemptKey {
            boot: at.parsed::<BootId>("boot")?,
            invocation: at.parsed::<InvocationId>("invocation")?,
        },
        started: Timestamp::from_micros(at.value("started")?),
        ready: at.value::<Option<i64>>("ready")?.map(Timestamp::from_micros),
        end,
    })
}

/// How a run ended, from a column of its own.
pub(crate) fn run_end(row: &Row<'_>, column: &'static str) -> Result<Option<RunEnd>, Failure> {
    let Some(word) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    let known = RunEnd::ALL.into_iter().find(|end| end.as_str() == word);
    known.map(Some).ok_or_else(|| Failure::Value {
        row: 0,
        column,
        source: format!("{word:?} is no end of a run").into(),
    })
}

/// One row, whose columns are read with a word about where they stand if they cannot be.
pub(crate) struct Cursor<'row, 'statement> {
    /// The row.
    pub(crate) row: &'row Row<'statement>,
    /// Its id, for the error.
    pub(crate) id: i64,
}

impl Cursor<'_, '_> {
    /// A plain value.
    pub(crate) fn value<T: FromSql>(&self, column: &'static str) -> Result<T, Failure> {
        self.row.get(column).map_err(|source| self.bad(column, source))
    }

    /// A text that is a word of ours.
    pub(crate) fn parsed<T>(&self, column: &'static str) -> Result<T, Failure>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let text: String = self.value(column)?;
        text.parse().map_err(|source| self.bad(column, source))
    }

    /// A text that is JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Failure> {
        let text: String = self.value(column)?;
        serde_json::from_str(&text).map_err(|source| self.bad(column, source))
    }

    fn bad(&self, column: &'static str, source: impl Error + Send + Sync + 'static) -> Failure {
        Failure::Value { row: self.id, column, source: Box::new(source) }
    }
}
