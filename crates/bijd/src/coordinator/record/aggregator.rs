//! Aggregates readings of the board into minutes and totals of attempts.

use std::collections::{BTreeMap, BTreeSet};

use bij_coordinator::Now;
use bij_core::{
    AttemptBoard, AttemptKey, BoardMinute, Bytes, Celsius, Hottest, Milliwatts, Percent, Spread,
    TimeSpan, Timestamp, Uptime,
};

use super::BoardReading;
use super::attempt_totals::AttemptTotals;

/// A record for the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BoardRecord {
    /// The totals of one attempt.
    Attempt(AttemptKey, AttemptBoard),
    /// The averages of one minute.
    Minute(BoardMinute),
}

/// Aggregates readings into records. It uses no clock and no file.
#[derive(Debug, Default)]
pub(super) struct BoardAggregator {
    /// The open attempts, each with its totals if its beginning was observed.
    open: BTreeMap<AttemptKey, Option<AttemptTotals>>,
    /// Whether the attempts that were open at the start are known.
    is_initialized: bool,
    minute: Option<Minute>,
}

impl BoardAggregator {
    /// Returns whether an attempt has begun or ended, so that a reading is due at once.
    pub(super) fn has_changed(&self, open: &BTreeSet<AttemptKey>) -> bool {
        !open.iter().eq(self.open.keys())
    }

    /// Returns whether an attempt is known to be open.
    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns the attempts that are known to be open; `None` at the start.
    pub(super) fn open(&self) -> Option<BTreeSet<AttemptKey>> {
        self.is_initialized.then(|| self.open.keys().copied().collect())
    }

    /// Records that no attempt was open at the start.
    pub(super) const fn set_idle(&mut self) {
        self.is_initialized = true;
    }

    /// Adds a reading; returns the records that it completes.
    pub(super) fn add(
        &mut self,
        now: Now,
        open: &BTreeSet<AttemptKey>,
        reading: &BoardReading,
    ) -> Vec<BoardRecord> {
        let mut records = Vec::new();
        records.extend(self.minute_over(now.uptime));
        let minute = self.minute.get_or_insert_with(|| Minute::new(now.at, now.uptime));
        minute.add(now.uptime, reading);
        for totals in self.open.values_mut().flatten() {
            totals.add(now.uptime, reading);
        }
        let ended: Vec<AttemptKey> =
            self.open.keys().filter(|key| !open.contains(key)).copied().collect();
        for key in ended {
            let totals = self.open.remove(&key).flatten();
            let board = totals.and_then(AttemptTotals::finish);
            records.extend(board.map(|board| BoardRecord::Attempt(key, board)));
        }
        for key in open {
            let begun = || self.is_initialized.then(|| AttemptTotals::new(now.uptime, reading));
            self.open.entry(*key).or_insert_with(begun);
        }
        self.is_initialized = true;
        records
    }

    /// Returns the record of the minute, if it is over.
    pub(super) fn minute_over(&mut self, uptime: Uptime) -> Option<BoardRecord> {
        let minute = self.minute.take_if(|minute| minute.is_over(uptime))?;
        Some(BoardRecord::Minute(minute.row()))
    }

    /// Returns the uptime at which the minute is over, if there is one.
    pub(super) fn minute_ends(&self) -> Option<Uptime> {
        self.minute.as_ref().map(Minute::end)
    }

    /// Returns the record of the unfinished minute. The totals of open attempts are lost.
    pub(super) fn finish(self) -> Option<BoardRecord> {
        self.minute.map(|minute| BoardRecord::Minute(minute.row()))
    }
}

/// The readings of one minute.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    at: Timestamp,
    begun: Uptime,
    last: Uptime,
    samples: u32,
    hottest: Option<Hottest>,
    celsius: Sum,
    power: Sum,
    gpu_load: Sum,
    memory_available: Option<Bytes>,
    throttled: Option<u32>,
}

/// Minimum, maximum and mean of the known values.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    range: Option<(i64, i64)>,
    total: i64,
    count: i64,
}

impl Minute {
    /// Length of a minute; the next reading begins a new one.
    const LENGTH: TimeSpan = TimeSpan::from_secs(60);

    pub(super) fn new(at: Timestamp, uptime: Uptime) -> Self {
        Self {
            at,
            begun: uptime,
            last: uptime,
            samples: 0,
            hottest: None,
            celsius: Sum::default(),
            power: Sum::default(),
            gpu_load: Sum::default(),
            memory_available: None,
            throttled: None,
        }
    }

    /// Returns whether the minute is over.
    pub(super) fn is_over(&self, uptime: Uptime) -> bool {
        uptime >= self.end()
    }

    /// Returns the uptime at which the minute is over.
    pub(super) fn end(&self) -> Uptime {
        self.begun + Self::LENGTH
    }

    pub(super) fn add(&mut self, uptime: Uptime, reading: &BoardReading) {
        self.last = uptime;
        self.samples = self.samples.saturating_add(1);
        let hottest = reading.hottest();
        self.celsius.add(hottest.as_ref().map(|now| i64::from(now.celsius.millis())));
        if hottest.as_ref().map(|now| now.celsius) > self.hottest.as_ref().map(|was| was.celsius) {
            self.hottest = hottest;
        }
        self.power.add(reading.power.map(Milliwatts::get));
        self.gpu_load.add(reading.gpu_load.and_then(|load| i64::try_from(load.permyriad()).ok()));
        let least = [self.memory_available, reading.memory_available].into_iter().flatten().min();
        self.memory_available = least;
        if let Some(throttled) = reading.throttled {
            *self.throttled.get_or_insert(0) += u32::from(throttled);
        }
    }

    /// Returns the row of the minute.
    pub(super) fn row(self) -> BoardMinute {
        let celsius = self.celsius.spread(|millis| {
            // The mean of values that fit also fits.
            Celsius::from_millis(i32::try_from(millis).unwrap_or(i32::MAX))
        });
        let gpu_load = self.gpu_load.spread(|load| u64::try_from(load).unwrap_or(0));
        BoardMinute {
            at: self.at,
            span: self.last - self.begun,
            samples: self.samples,
            hottest: self.hottest,
            celsius,
            power: self.power.spread(Milliwatts::new),
            gpu_load: gpu_load.map(|load| Percent::from_permyriad(load.mean)),
            memory_available: self.memory_available,
            throttled: self.throttled,
        }
    }
}

impl Sum {
    fn add(&mut self, value: Option<i64>) {
        let Some(value) = value else { return };
        let (min, max) = self.range.unwrap_or((value, value));
        self.range = Some((min.min(value), max.max(value)));
        self.total = self.total.saturating_add(value);
        self.count += 1;
    }

    fn spread<T>(self, unit: impl Fn(i64) -> T) -> Option<Spread<T>> {
        let (min, max) = self.range?;
        let mean = self.total.checked_div(self.count)?;
        Some(Spread { min: unit(min), mean: unit(mean), max: unit(max) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_row_has_minimum_mean_and_maximum() {
        let begun = Uptime::from_secs(1000);
        let mut minute = Minute::new(Timestamp::from_micros(7), begun);
        let zones = [("cpu", 60), ("tj", 71), ("cpu", 50)];
        for (second, (zone, degrees)) in zones.into_iter().enumerate() {
            let second = u32::try_from(second).unwrap();
            let reading = BoardReading {
                zones: [(Arc::from(zone), Celsius::new(degrees))].into(),
                power: (second != 1).then_some(Milliwatts::new(i64::from(second) * 100)),
                gpu_load: Some(Percent::from_permyriad(u64::from(second) * 100)),
                memory_available: Some(Bytes::new(u64::from(9 - second))),
                throttled: Some(second == 1),
                over_current: None,
            };
            minute.add(Uptime::from_secs(1000 + second), &reading);
        }
        let row = minute.row();
        assert_eq!((row.at.as_micros(), row.span, row.samples), (7, TimeSpan::from_secs(2), 3));
        assert_eq!(row.hottest.unwrap().zone, "tj");
        let celsius = row.celsius.unwrap();
        assert_eq!((celsius.min, celsius.max), (Celsius::new(50), Celsius::new(71)));
        assert_eq!(celsius.mean, Celsius::from_millis(60_333));
        assert_eq!(row.power.unwrap().mean, Milliwatts::new(100), "of the known values");
        assert_eq!(row.gpu_load, Some(Percent::from_permyriad(100)));
        assert_eq!((row.memory_available, row.throttled), (Some(Bytes::new(7)), Some(1)));
    }

    #[test]
    fn values_that_a_board_does_not_report_are_not_in_its_row() {
        let mut minute = Minute::new(Timestamp::from_micros(0), Uptime::BOOT);
        minute.add(Uptime::BOOT, &BoardReading::default());
        let row = minute.row();
        assert_eq!((row.celsius, row.power, row.gpu_load, row.throttled), (None, None, None, None));
        assert_eq!((row.hottest, row.memory_available), (None, None));
    }
}
