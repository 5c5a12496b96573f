//! Records of the board: one per attempt, and one per minute.

use bij_core::port::LedgerError;
use bij_core::{
    AttemptBoard, AttemptKey, BoardMinute, Bytes, Celsius, Hottest, Millijoules, Milliwatts,
    Outcome, Percent, Spread, TimeSpan, Timestamp,
};
use rusqlite::{Connection, Row, Transaction, params};

use crate::database_error::DatabaseError;
use crate::row::{ResultColumn, RowReader, saturating_i64};
use crate::store::Flush;
use crate::{Reader, Store};

impl Store {
    /// Records the board's values during an ended attempt. The first record stands; for an unknown or open
    /// attempt nothing is recorded.
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    pub fn keep_attempt_board(
        &mut self,
        key: AttemptKey,
        board: &AttemptBoard,
    ) -> Result<Outcome, LedgerError> {
        Ok(self.write(Flush::Later, |transaction| insert_attempt_board(transaction, key, board))?)
    }

    /// Records a minute, and removes all but the newest [`BoardMinute::KEPT`].
    ///
    /// # Errors
    /// [`LedgerError`] if it was not recorded.
    pub fn keep_board_minute(&mut self, minute: &BoardMinute) -> Result<(), LedgerError> {
        Ok(self.write(Flush::Later, |transaction| insert_minute(transaction, minute))?)
    }
}

impl Reader {
    /// Returns up to `at_most` of the newest minutes of the board, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`] if they could not be read.
    pub fn board_minutes(&self, at_most: usize) -> Result<Vec<BoardMinute>, LedgerError> {
        Ok(self.board_minutes_before(None, at_most)?.1)
    }

    /// Reads the newest minutes of the board, or the newest before the one with a number, oldest first. Before
    /// them stands the number of the first, 0 if there is none.
    ///
    /// # Errors
    /// [`LedgerError`] if they could not be read.
    pub fn board_minutes_before(
        &self,
        before: Option<i64>,
        at_most: usize,
    ) -> Result<(i64, Vec<BoardMinute>), LedgerError> {
        self.database.query(|connection| minutes(connection, before, at_most))
    }
}

pub(crate) fn insert_attempt_board(
    transaction: &Transaction<'_>,
    key: AttemptKey,
    board: &AttemptBoard,
) -> Result<Outcome, DatabaseError> {
    let AttemptBoard { hottest, energy, throttled, over_current } = board;
    let added = transaction
        .prepare_cached(
            "INSERT INTO attempt_boards
                 (attempt, zone, millicelsius, millijoules, throttled, over_current)
             SELECT id, ?3, ?4, ?5, ?6, ?7 FROM attempts
             WHERE boot = ?1 AND invocation = ?2 AND ended IS NOT NULL
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            key.boot.to_string(),
            key.invocation.to_string(),
            hottest.as_ref().map(|hottest| &hottest.zone),
            hottest.as_ref().map(|hottest| hottest.celsius.millis()),
            energy.map(Millijoules::get),
            throttled.map(|span| saturating_i64(span.as_micros())),
            over_current.map(saturating_i64),
        ])?;
    Ok(if added == 0 { Outcome::Unchanged } else { Outcome::Changed })
}

pub(crate) fn insert_minute(
    transaction: &Transaction<'_>,
    minute: &BoardMinute,
) -> Result<(), DatabaseError> {
    let BoardMinute { at, span, samples, hottest, celsius, power, gpu_load, .. } = minute;
    transaction
        .prepare_cached(
            "INSERT INTO board_minutes (at, span, samples, zone, zone_max,
                 celsius_min, celsius_mean, celsius_max, power_min, power_mean, power_max,
                 gpu_load, available, throttled)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            at.as_micros(),
            saturating_i64(span.as_micros()),
            samples,
            hottest.as_ref().map(|hottest| &hottest.zone),
            hottest.as_ref().map(|hottest| hottest.celsius.millis()),
            celsius.map(|celsius| celsius.min.millis()),
            celsius.map(|celsius| celsius.mean.millis()),
            celsius.map(|celsius| celsius.max.millis()),
            power.map(|power| power.min.get()),
            power.map(|power| power.mean.get()),
            power.map(|power| power.max.get()),
            gpu_load.map(|load| saturating_i64(load.permyriad())),
            minute.memory_available.map(|memory| saturating_i64(memory.get())),
            minute.throttled,
        ])?;
    transaction
        .prepare_cached(
            "DELETE FROM board_minutes WHERE id <= (SELECT max(id) FROM board_minutes) - ?1",
        )?
        .execute([i64::try_from(BoardMinute::KEPT).unwrap_or(i64::MAX)])?;
    Ok(())
}

fn minutes(
    connection: &Connection,
    before: Option<i64>,
    at_most: usize,
) -> Result<(i64, Vec<BoardMinute>), DatabaseError> {
    let sql = format!("SELECT {MINUTE} FROM board_minutes WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut rows = statement.query([before.unwrap_or(i64::MAX), at_most])?;
    let (mut first, mut minutes) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        first = row.get(0)?;
        minutes.push(minute(row)?);
    }
    minutes.reverse();
    Ok((first, minutes))
}

/// The columns that [`minute`] reads.
const MINUTE: &str = "id, at, span, samples, zone, zone_max, celsius_min, celsius_mean, \
     celsius_max, power_min, power_mean, power_max, gpu_load, available, throttled";

/// The query of all minutes for [`minute`], in their order.
pub(crate) fn minutes_in_order() -> String {
    format!("SELECT {MINUTE} FROM board_minutes ORDER BY id")
}

/// Reads a minute of the board from a row of [`MINUTE`].
pub(crate) fn minute(row: &Row<'_>) -> Result<BoardMinute, DatabaseError> {
    let fields = RowReader::new(row, row.get(0)?);
    let celsius = |number, name| {
        Ok::<_, DatabaseError>(
            fields.value::<Option<i32>>(ResultColumn(number, name))?.map(Celsius::from_millis),
        )
    };
    let power = |number, name| {
        Ok::<_, DatabaseError>(
            fields.value::<Option<i64>>(ResultColumn(number, name))?.map(Milliwatts::new),
        )
    };
    Ok(BoardMinute {
        at: Timestamp::from_micros(fields.value(ResultColumn(1, "at"))?),
        span: TimeSpan::from_micros(fields.value(ResultColumn(2, "span"))?),
        samples: fields.value(ResultColumn(3, "samples"))?,
        hottest: hottest(&fields, ResultColumn(4, "zone"), ResultColumn(5, "zone_max"))?,
        celsius: spread(
            celsius(6, "celsius_min")?,
            celsius(7, "celsius_mean")?,
            celsius(8, "celsius_max")?,
        ),
        power: spread(power(9, "power_min")?, power(10, "power_mean")?, power(11, "power_max")?),
        gpu_load: fields
            .value::<Option<u64>>(ResultColumn(12, "gpu_load"))?
            .map(Percent::from_permyriad),
        memory_available: fields
            .value::<Option<u64>>(ResultColumn(13, "available"))?
            .map(Bytes::new),
        throttled: fields.value(ResultColumn(14, "throttled"))?,
    })
}

fn spread<T>(min: Option<T>, mean: Option<T>, max: Option<T>) -> Option<Spread<T>> {
    Some(Spread { min: min?, mean: mean?, max: max? })
}

fn hottest(
    fields: &RowReader<'_, '_>,
    zone: ResultColumn,
    celsius: ResultColumn,
) -> Result<Option<Hottest>, DatabaseError> {
    let zone: Option<String> = fields.value(zone)?;
    let celsius: Option<i32> = fields.value(celsius)?;
    let to_hottest = |(zone, celsius)| Hottest { zone, celsius: Celsius::from_millis(celsius) };
    Ok(zone.zip(celsius).map(to_hottest))
}

/// Reads the board's values during an attempt from six columns; `None` if the first is null.
pub(crate) fn attempt_board(
    fields: &RowReader<'_, '_>,
    first: usize,
) -> Result<Option<AttemptBoard>, DatabaseError> {
    let column = |offset: usize, name| ResultColumn(first + offset, name);
    if fields.value::<Option<i64>>(column(0, "attempt"))?.is_none() {
        return Ok(None);
    }
    let throttled: Option<u64> = fields.value(column(4, "throttled"))?;
    Ok(Some(AttemptBoard {
        hottest: hottest(fields, column(1, "zone"), column(2, "millicelsius"))?,
        energy: fields.value::<Option<i64>>(column(3, "millijoules"))?.map(Millijoules::new),
        throttled: throttled.map(TimeSpan::from_micros),
        over_current: fields.value(column(5, "over_current"))?,
    }))
}
