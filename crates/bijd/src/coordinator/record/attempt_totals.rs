//! Totals of the board's readings during one attempt.

use bij_core::{AttemptBoard, Hottest, TimeSpan, Uptime};

use super::energy::Energy;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bij_core::{Celsius, Millijoules, Milliwatts};

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
}
