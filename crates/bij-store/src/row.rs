//! Converts rows to domain types.

use std::error::Error;
use std::str::FromStr;

use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Cause, ExperimentId, InvocationId,
    RunEnd, RunId, RunNumber, Timestamp, Uptime,
};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;

use crate::board;
use crate::database_error::DatabaseError;

/// Index of a column in a result row, and its name for error messages.
#[derive(Clone, Copy)]
pub(crate) struct ResultColumn(pub(crate) usize, pub(crate) &'static str);

/// The columns that [`attempt`] reads, from `attempts a`, `runs r`, `experiments e` and `attempt_boards b`
/// (outer join). More columns may follow from [`NEXT`] on.
pub(crate) const ATTEMPT: &str = "a.id, e.name, r.number, a.number, a.boot, a.invocation, \
     a.started, a.ready, a.ended, a.cause, a.evidence, b.attempt, b.zone, b.millicelsius, \
     b.millijoules, b.throttled, b.over_current, a.started_uptime";
/// Index of the first column after those of an attempt.
pub(crate) const NEXT: usize = 18;

const ID: usize = 0;
const NAME: ResultColumn = ResultColumn(1, "experiment");
const RUN: ResultColumn = ResultColumn(2, "run");
const NUMBER: ResultColumn = ResultColumn(3, "number");
const BOOT: ResultColumn = ResultColumn(4, "boot");
const INVOCATION: ResultColumn = ResultColumn(5, "invocation");
const STARTED: ResultColumn = ResultColumn(6, "started");
const READY: ResultColumn = ResultColumn(7, "ready");
const ENDED: ResultColumn = ResultColumn(8, "ended");
const CAUSE: ResultColumn = ResultColumn(9, "cause");
const EVIDENCE: ResultColumn = ResultColumn(10, "evidence");
const BOARD: usize = 11;
const STARTED_UPTIME: ResultColumn = ResultColumn(17, "started_uptime");

/// Reads an attempt from a row of [`ATTEMPT`].
pub(crate) fn attempt(row: &Row<'_>) -> Result<Attempt, DatabaseError> {
    let fields = RowReader::from_attempt(row)?;
    let end = match fields.value::<Option<i64>>(ENDED)? {
        None => None,
        Some(ended) => Some(AttemptEnd {
            at: Timestamp::from_micros(ended),
            cause: fields.parsed::<Cause>(CAUSE)?,
            evidence: fields.json(EVIDENCE)?,
        }),
    };
    Ok(Attempt {
        run: RunId {
            experiment: fields.parsed::<ExperimentId>(NAME)?,
            number: RunNumber(fields.value(RUN)?),
        },
        number: AttemptNumber(fields.value(NUMBER)?),
        key: AttemptKey {
            boot: fields.parsed::<BootId>(BOOT)?,
            invocation: fields.parsed::<InvocationId>(INVOCATION)?,
        },
        started: Timestamp::from_micros(fields.value(STARTED)?),
        started_uptime: fields.value::<Option<u64>>(STARTED_UPTIME)?.map(Uptime::from_micros),
        ready: fields.value::<Option<i64>>(READY)?.map(Timestamp::from_micros),
        end,
        board: board::attempt_board(&fields, BOARD)?,
    })
}

/// Converts to SQLite's signed integers; larger values become the maximum, which no real value reaches.
pub(crate) fn saturating_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads the columns of one row; an error names the row and the column.
pub(crate) struct RowReader<'row, 'statement> {
    row: &'row Row<'statement>,
    id: i64,
}

impl<'row, 'statement> RowReader<'row, 'statement> {
    /// Reads a row that begins with [`ATTEMPT`].
    pub(crate) fn from_attempt(row: &'row Row<'statement>) -> Result<Self, DatabaseError> {
        Ok(Self { row, id: row.get(ID)? })
    }

    /// Reads a row; errors call it by this id.
    pub(crate) const fn new(row: &'row Row<'statement>, id: i64) -> Self {
        Self { row, id }
    }

    /// Reads a value that SQLite converts.
    pub(crate) fn value<T: FromSql>(&self, column: ResultColumn) -> Result<T, DatabaseError> {
        self.row.get(column.0).map_err(|source| self.invalid(column, source))
    }

    /// Parses a text.
    pub(crate) fn parsed<T>(&self, column: ResultColumn) -> Result<T, DatabaseError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        self.parse(self.text(column)?, column)
    }

    /// As [`RowReader::parsed`]; `None` for null.
    pub(crate) fn parsed_optional<T>(
        &self,
        column: ResultColumn,
    ) -> Result<Option<T>, DatabaseError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let text = self.text_optional(column)?;
        text.map(|text| self.parse(text, column)).transpose()
    }

    /// Parses a text as JSON.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        column: ResultColumn,
    ) -> Result<T, DatabaseError> {
        self.parse_json(self.text(column)?, column)
    }

    /// As [`RowReader::json`]; `None` for null.
    pub(crate) fn json_optional<T: DeserializeOwned>(
        &self,
        column: ResultColumn,
    ) -> Result<Option<T>, DatabaseError> {
        let text = self.text_optional(column)?;
        text.map(|text| self.parse_json(text, column)).transpose()
    }

    /// Returns the value among `all` whose text is in the column.
    pub(crate) fn one_of<T: Copy>(
        &self,
        column: ResultColumn,
        all: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Result<T, DatabaseError> {
        let text = self.text(column)?;
        let known = all.iter().copied().find(|value| as_str(*value) == text);
        known.ok_or_else(|| self.invalid(column, format!("unknown value {text:?}")))
    }

    /// As [`one_of`](Self::one_of); `None` for null.
    pub(crate) fn one_of_optional<T: Copy>(
        &self,
        column: ResultColumn,
        all: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, DatabaseError> {
        let has_text = self.text_optional(column)?.is_some();
        has_text.then(|| self.one_of(column, all, as_str)).transpose()
    }

    /// Reads how a run ended; `None` if it is open.
    pub(crate) fn run_end(&self, column: ResultColumn) -> Result<Option<RunEnd>, DatabaseError> {
        self.one_of_optional(column, &RunEnd::ALL, RunEnd::as_str)
    }

    fn text(&self, column: ResultColumn) -> Result<&'row str, DatabaseError> {
        let text = self.row.get_ref(column.0)?.as_str();
        text.map_err(|source| self.invalid(column, source))
    }

    fn text_optional(&self, column: ResultColumn) -> Result<Option<&'row str>, DatabaseError> {
        let text = self.row.get_ref(column.0)?.as_str_or_null();
        text.map_err(|source| self.invalid(column, source))
    }

    fn parse<T>(&self, text: &str, column: ResultColumn) -> Result<T, DatabaseError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        text.parse().map_err(|source| self.invalid(column, source))
    }

    fn parse_json<T: DeserializeOwned>(
        &self,
        text: &str,
        column: ResultColumn,
    ) -> Result<T, DatabaseError> {
        serde_json::from_str(text).map_err(|source| self.invalid(column, source))
    }

    fn invalid(
        &self,
        column: ResultColumn,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> DatabaseError {
        DatabaseError::Value { row: self.id, column: column.1, source: source.into() }
    }
}
