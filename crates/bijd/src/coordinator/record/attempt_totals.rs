//! Totals of the board's readings during one attempt, such as its energy: the integral of power readings.

use bij_core::{AttemptBoard, Hottest, Millijoules, Milliwatts, TimeSpan, Uptime};

use super::{BoardReading, MAX_GAP};

/// Totals of the board's readings during one attempt.
#[derive(Clone, Debug)]
pub(super) struct AttemptTotals {
    last: Uptime,
    /// Whether there was a gap of more than [`MAX_GAP`] between readings.
    has_gap: bool,
    hottest: Option<Hottest>,
    energy: Energy,
    /// `None` if any reading lacked it.
    throttled: Option<TimeSpan>,
    /// The counter at the first and at the last reading.
    over_current: Option<(u64, u64)>,
}

impl AttemptTotals {
    /// Starts the totals of an attempt that has just begun.
    pub(super) fn new(at: Uptime, reading: &BoardReading) -> Self {
        let mut totals = Self {
            last: at,
            has_gap: false,
            hottest: None,
            energy: Energy::new(at),
            throttled: Some(TimeSpan::default()),
            over_current: reading.over_current.map(|count| (count, count)),
        };
        totals.add(at, reading);
        totals
    }

    /// Adds a reading, while the attempt is open or when it has just ended.
    pub(super) fn add(&mut self, at: Uptime, reading: &BoardReading) {
        let passed = at - self.last;
        self.has_gap |= passed > MAX_GAP;
        self.last = at;
        let hottest = reading.hottest();
        if hottest.as_ref().map(|now| now.celsius) > self.hottest.as_ref().map(|was| was.celsius) {
            self.hottest = hottest;
        }
        self.energy.add(at, reading.power);
        self.throttled = self.throttled.zip(reading.throttled).map(|(so_far, is_throttled)| {
            if is_throttled { so_far.saturating_add(passed) } else { so_far }
        });
        self.over_current =
            self.over_current.zip(reading.over_current).map(|((first, _), now)| (first, now));
    }

    /// Returns the totals of the ended attempt; `None` if there was a gap.
    pub(super) fn finish(self) -> Option<AttemptBoard> {
        if self.has_gap {
            return None;
        }
        Some(AttemptBoard {
            hottest: self.hottest,
            energy: self.energy.finish(self.last),
            throttled: self.throttled,
            over_current: self.over_current.and_then(|(first, now)| now.checked_sub(first)),
        })
    }
}

/// Energy drawn since the start. Between two readings the power counts as their mean, before the first and after the last
/// as that reading. Over a gap longer than [`MAX_GAP`] the energy is unknown.
#[derive(Clone, Debug)]
pub(super) struct Energy {
    since: Uptime,
    last: Option<(Uptime, Milliwatts)>,
    /// Milliwatts times microseconds.
    nanojoules: i128,
    has_gap: bool,
}

impl Energy {
    pub(super) const fn new(at: Uptime) -> Self {
        Self { since: at, last: None, nanojoules: 0, has_gap: false }
    }

    pub(super) fn add(&mut self, at: Uptime, power: Option<Milliwatts>) {
        let Some(power) = power else { return };
        let (from, before) = self.last.unwrap_or((self.since, power));
        self.add_span(from, at, i128::from(before.get()) + i128::from(power.get()));
        self.last = Some((at, power));
    }

    /// Returns the energy drawn until `at`; `None` after a gap.
    pub(super) fn finish(mut self, at: Uptime) -> Option<Millijoules> {
        let (from, power) = self.last?;
        self.add_span(from, at, 2 * i128::from(power.get()));
        let millijoules = i64::try_from(self.nanojoules / 1_000_000).ok()?;
        (!self.has_gap).then_some(Millijoules::new(millijoules))
    }

    /// Adds a span; `both` is the sum of the powers at its ends.
    fn add_span(&mut self, from: Uptime, to: Uptime, both: i128) {
        let passed = to - from;
        self.has_gap |= passed > MAX_GAP;
        let drawn = both.saturating_mul(passed.as_micros().into()) / 2;
        self.nanojoules = self.nanojoules.saturating_add(drawn);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bij_core::{Celsius, Millijoules, Milliwatts};
    use proptest::prelude::*;

    use super::*;

    fn reading(celsius: i16, throttled: bool, over_current: u64) -> BoardReading {
        BoardReading {
            zones: [(Arc::from("cpu"), Celsius::new(40)), (Arc::from("tj"), Celsius::new(celsius))]
                .into(),
            power: Some(Milliwatts::new(10_000)),
            throttled: Some(throttled),
            over_current: Some(over_current),
            ..BoardReading::default()
        }
    }

    fn recorded(seconds: &[(u32, BoardReading)]) -> Option<AttemptBoard> {
        let ((first, begun), later) = seconds.split_first().unwrap();
        let mut totals = AttemptTotals::new(Uptime::from_secs(*first), begun);
        for (at, reading) in later {
            totals.add(Uptime::from_secs(*at), reading);
        }
        totals.finish()
    }

    #[test]
    fn an_attempt_without_gaps_has_totals() {
        let board = recorded(&[
            (100, reading(50, true, 4)),
            (101, reading(91, true, 4)),
            (102, reading(70, false, 6)),
            (104, reading(70, true, 7)),
        ])
        .unwrap();
        assert_eq!(
            board.hottest,
            Some(Hottest { zone: "tj".to_owned(), celsius: Celsius::new(91) })
        );
        assert_eq!(board.energy, Some(Millijoules::new(40_000)));
        assert_eq!(
            board.throttled,
            Some(TimeSpan::from_secs(3)),
            "time before the attempt does not count"
        );
        assert_eq!(board.over_current, Some(3));
    }

    #[test]
    fn values_that_a_board_does_not_report_are_left_out() {
        let bare = BoardReading {
            throttled: None,
            over_current: None,
            power: None,
            ..reading(50, true, 0)
        };
        let board = recorded(&[(0, bare.clone()), (1, reading(60, true, 1)), (2, bare)]).unwrap();
        assert_eq!(board.hottest.unwrap().celsius, Celsius::new(60));
        assert_eq!((board.throttled, board.over_current), (None, None));
        assert_eq!(board.energy, Some(Millijoules::new(20_000)), "a short gap is bridged");
        let nothing =
            recorded(&[(0, BoardReading::default()), (1, BoardReading::default())]).unwrap();
        let with_nothing = AttemptBoard::default();
        assert_eq!(nothing, with_nothing);
    }

    #[test]
    fn an_attempt_with_a_gap_has_no_totals() {
        let still = reading(50, false, 0);
        assert_eq!(recorded(&[(0, still.clone()), (11, still.clone()), (12, still.clone())]), None);
        assert!(recorded(&[(0, still.clone()), (10, still)]).is_some());
    }

    fn energy(until: u32, readings: &[(u32, Option<i64>)]) -> Option<Millijoules> {
        let mut energy = Energy::new(Uptime::BOOT);
        for (at, power) in readings {
            energy.add(Uptime::from_secs(*at), power.map(Milliwatts::new));
        }
        energy.finish(Uptime::from_secs(until))
    }

    #[test]
    fn a_power_that_rises_evenly_counts_by_its_mean() {
        let drawn = energy(3, &[(0, Some(1000)), (2, Some(3000)), (3, Some(3000))]);
        assert_eq!(drawn, Some(Millijoules::new(4000 + 3000)));
    }

    #[test]
    fn short_gaps_are_bridged_and_long_gaps_make_the_energy_unknown() {
        let steady = |missing: u32| {
            let gap = (1..=missing).map(|at| (at, None));
            let readings: Vec<_> =
                [(0, Some(500))].into_iter().chain(gap).chain([(missing + 1, Some(500))]).collect();
            energy(missing + 1, &readings)
        };
        assert_eq!(steady(3), Some(Millijoules::new(2000)));
        assert_eq!(steady(10), None);
        assert_eq!(energy(5, &[(0, None), (1, None)]), None);
        assert_eq!(energy(11, &[(11, Some(1))]), None, "the start is unknown");
        assert_eq!(energy(11, &[(0, Some(1))]), None, "the end is unknown");
    }

    proptest! {
        /// A constant power draws the same energy however often it is read.
        #[test]
        fn a_steady_power_draws_power_for_time(
            power in -50_000..100_000i64,
            steps in prop::collection::vec(0..10u32, 1..50),
        ) {
            let mut at = 0;
            let readings: Vec<_> = steps
                .iter()
                .map(|step| {
                    at += step;
                    (at, Some(power))
                })
                .collect();
            let drawn = energy(at, &readings).map(Millijoules::get);
            prop_assert_eq!(drawn, Some(power * i64::from(at)));
        }
    }
}
