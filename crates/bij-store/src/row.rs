//! Rows become domain types here, and nowhere else.

use std::error::Error;
use std::str::FromStr;

use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Cause, ExperimentId, InvocationId,
    RunEnd, RunId, RunNumber, TimeSpan, Timestamp,
};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;

use crate::board;
use crate::failure::Failure;

/// A column: where it stands in what is selected, and its name for errors.
#[derive(Clone, Copy)]
pub(crate) struct Column(pub(crate) usize, pub(crate) &'static str);

/// The columns that [`attempt`] reads, from `attempts a`, `runs r`, `experiments e` and, where there
/// is one, `attempt_boards b`. Others may follow, from [`NEXT`] on.
pub(crate) const ATTEMPT: &str = "a.id, e.name, r.number, a.number, a.boot, a.invocation, \
     a.started, a.ready, a.ended, a.cause, a.evidence, b.attempt, b.zone, b.millicelsius, \
     b.millijoules, b.throttled, b.over_current, a.started_uptime";
/// The first column after those of an attempt.
pub(crate) const NEXT: usize = 18;

const ID: usize = 0;
const NAME: Column = Column(1, "experiment");
const RUN: Column = Column(2, "run");
const NUMBER: Column = Column(3, "number");
const BOOT: Column = Column(4, "boot");
const INVOCATION: Column = Column(5, "invocation");
const STARTED: Column = Column(6, "started");
const READY: Column = Column(7, "ready");
const ENDED: Column = Column(8, "ended");
const CAUSE: Column = Column(9, "cause");
const EVIDENCE: Column = Column(10, "evidence");
const BOARD: usize = 11;
const STARTED_UPTIME: Column = Column(17, "started_uptime");

/// An attempt from a row of [`ATTEMPT`].
pub(crate) fn attempt(row: &Row<'_>) -> Result<Attempt, Failure> {
    let at = Cursor::of_attempt(row)?;
    let end = match at.value::<Option<i64>>(ENDED)? {
        None => None,
        Some(ended) => Some(AttemptEnd {
            at: Timestamp::from_micros(ended),
            cause: at.parsed::<Cause>(CAUSE)?,
            evidence: at.json(EVIDENCE)?,
        }),
    };
    Ok(Attempt {
        run: RunId {
            experiment: at.parsed::<ExperimentId>(NAME)?,
            number: RunNumber(at.value(RUN)?),
        },
        number: AttemptNumber(at.value(NUMBER)?),
        key: AttemptKey {
            boot: at.parsed::<BootId>(BOOT)?,
            invocation: at.parsed::<InvocationId>(INVOCATION)?,
        },
        started: Timestamp::from_micros(at.value(STARTED)?),
        started_uptime: at.value::<Option<u64>>(STARTED_UPTIME)?.map(TimeSpan::from_micros),
        ready: at.value::<Option<i64>>(READY)?.map(Timestamp::from_micros),
        end,
        board: board::of_attempt(&at, BOARD)?,
    })
}

/// SQLite's integers have a sign; nothing here comes near to where that matters.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One row, whose columns are read with a word about where they stand if they cannot be.
pub(crate) struct Cursor<'row, 'statement> {
    row: &'row Row<'statement>,
    id: i64,
}

impl<'row, 'statement> Cursor<'row, 'statement> {
    /// A row that begins with [`ATTEMPT`].
    pub(crate) fn of_attempt(row: &'row Row<'statement>) -> Result<Self, Failure> {
        Ok(Self { row, id: row.get(ID)? })
    }

    /// A row about the attempt, or whatever it is, with this id.
    pub(crate) const fn new(row: &'row Row<'statement>, id: i64) -> Self {
        Self { row, id }
    }

    /// A plain value.
    pub(crate) fn value<T: FromSql>(&self, column: Column) -> Result<T, Failure> {
        self.row.get(column.0).map_err(|source| self.bad(column, source))
    }

    /// A text that is a word of ours.
    pub(crate) fn parsed<T>(&self, column: Column) -> Result<T, Failure>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        self.word(self.text(column)?, column)
    }

    /// As [`Cursor::parsed`], where there need not be one.
    pub(crate) fn parsed_if_any<T>(&self, column: Column) -> Result<Option<T>, Failure>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let text = self.text_if_any(column)?;
        text.map(|text| self.word(text, column)).transpose()
    }

    /// A text that is JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: Column) -> Result<T, Failure> {
        self.document(self.text(column)?, column)
    }

    /// As [`Cursor::json`], where there need not be one.
    pub(crate) fn json_if_any<T: DeserializeOwned>(
        &self,
        column: Column,
    ) -> Result<Option<T>, Failure> {
        let text = self.text_if_any(column)?;
        text.map(|text| self.document(text, column)).transpose()
    }

    /// A text that is the word for one of these.
    pub(crate) fn one_of<T: Copy>(
        &self,
        column: Column,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<T, Failure> {
        let text = self.text(column)?;
        let known = all.iter().copied().find(|one| word(*one) == text);
        known.ok_or_else(|| self.bad(column, format!("{text:?} is no word for it")))
    }

    /// As [`one_of`](Self::one_of), if there is any text.
    pub(crate) fn one_of_if_any<T: Copy>(
        &self,
        column: Column,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, Failure> {
        let any = self.text_if_any(column)?.is_some();
        any.then(|| self.one_of(column, all, word)).transpose()
    }

    /// How a run ended, if it did.
    pub(crate) fn run_end(&self, column: Column) -> Result<Option<RunEnd>, Failure> {
        self.one_of_if_any(column, &RunEnd::ALL, RunEnd::as_str)
    }

    fn text(&self, column: Column) -> Result<&'row str, Failure> {
        let text = self.row.get_ref(column.0)?.as_str();
        text.map_err(|source| self.bad(column, source))
    }

    fn text_if_any(&self, column: Column) -> Result<Option<&'row str>, Failure> {
        let text = self.row.get_ref(column.0)?.as_str_or_null();
        text.map_err(|source| self.bad(column, source))
    }

    fn word<T>(&self, text: &str, column: Column) -> Result<T, Failure>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        text.parse().map_err(|source| self.bad(column, source))
    }

    fn document<T: DeserializeOwned>(&self, text: &str, column: Column) -> Result<T, Failure> {
        serde_json::from_str(text).map_err(|source| self.bad(column, source))
    }

    fn bad(&self, column: Column, source: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::Value { row: self.id, column: column.1, source: source.into() }
    }
}
