//! What the board goes through while an attempt lives.

use bij_core::{AttemptBoard, Hottest, TimeSpan};

use super::energy::Energy;
use super::{Glance, LONGEST_GAP};

/// Adds up what the board goes through while an attempt lives.
#[derive(Clone, Debug)]
pub(super) struct Account {
    last: TimeSpan,
    /// It was not looked at for so long that nobody knows what happened.
    has_gap: bool,
    hottest: Option<Hottest>,
    energy: Energy,
    /// Microseconds; `None` once it was not known.
    throttled: Option<u64>,
    /// The counter at the beginning, and now.
    over_current: Option<(u64, u64)>,
}

impl Account {
    /// The attempt has just begun.
    pub(super) fn begun(at: TimeSpan, glance: &Glance) -> Self {
        let mut account = Self {
            last: at,
            has_gap: false,
            hottest: None,
            energy: Energy::begun(at),
            throttled: Some(0),
            over_current: glance.over_current.map(|count| (count, count)),
        };
        account.add(at, glance);
        account
    }

    /// The attempt lives, or has just ended.
    pub(super) fn add(&mut self, at: TimeSpan, glance: &Glance) {
        let passed = at.as_micros().saturating_sub(self.last.as_micros());
        self.has_gap |= passed > LONGEST_GAP.as_micros();
        self.last = at;
        let hottest = glance.hottest();
        if hottest.as_ref().map(|now| now.celsius) > self.hottest.as_ref().map(|was| was.celsius) {
            self.hottest = hottest;
        }
        self.energy.add(at, glance.power);
        self.throttled = self.throttled.zip(glance.throttled).map(|(so_far, is_throttled)| {
            if is_throttled { so_far.saturating_add(passed) } else { so_far }
        });
        self.over_current =
            self.over_current.zip(glance.over_current).map(|((first, _), now)| (first, now));
    }

    /// The attempt has ended; `None` if it was not watched all the time.
    pub(super) fn ended(self) -> Option<AttemptBoard> {
        if self.has_gap {
            return None;
        }
        Some(AttemptBoard {
            hottest: self.hottest,
            energy: self.energy.until(self.last),
            throttled: self.throttled.map(TimeSpan::from_micros),
            over_current: self.over_current.and_then(|(first, now)| now.checked_sub(first)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bij_core::{Celsius, Millijoules, Milliwatts};

    use super::*;

    fn glance(celsius: i16, throttled: bool, over_current: u64) -> Glance {
        Glance {
            zones: [(Arc::from("cpu"), Celsius::new(40)), (Arc::from("tj"), Celsius::new(celsius))]
                .into(),
            power: Some(Milliwatts::new(10_000)),
            throttled: Some(throttled),
            over_current: Some(over_current),
            ..Glance::default()
        }
    }

    fn lived(seconds: &[(u32, Glance)]) -> Option<AttemptBoard> {
        let ((first, begun), later) = seconds.split_first().unwrap();
        let mut account = Account::begun(TimeSpan::from_secs(*first), begun);
        for (at, glance) in later {
            account.add(TimeSpan::from_secs(*at), glance);
        }
        account.ended()
    }

    #[test]
    fn a_life_that_was_watched_tells_what_it_was_like() {
        let board = lived(&[
            (100, glance(50, true, 4)),
            (101, glance(91, true, 4)),
            (102, glance(70, false, 6)),
            (104, glance(70, true, 7)),
        ])
        .unwrap();
        assert_eq!(
            board.hottest,
            Some(Hottest { zone: "tj".to_owned(), celsius: Celsius::new(91) })
        );
        assert_eq!(board.energy, Some(Millijoules::new(40_000)));
        assert_eq!(board.throttled, Some(TimeSpan::from_secs(3)), "before it lived does not count");
        assert_eq!(board.over_current, Some(3));
    }

    #[test]
    fn what_a_board_cannot_tell_is_not_known_and_the_rest_is() {
        let bare =
            Glance { throttled: None, over_current: None, power: None, ..glance(50, true, 0) };
        let board = lived(&[(0, bare.clone()), (1, glance(60, true, 1)), (2, bare)]).unwrap();
        assert_eq!(board.hottest.unwrap().celsius, Celsius::new(60));
        assert_eq!((board.throttled, board.over_current), (None, None));
        assert_eq!(board.energy, Some(Millijoules::new(20_000)), "a moment without is bridged");
        let nothing = lived(&[(0, Glance::default()), (1, Glance::default())]).unwrap();
        let with_nothing = AttemptBoard::default();
        assert_eq!(nothing, with_nothing);
    }

    #[test]
    fn a_life_with_a_gap_in_it_was_not_watched() {
        let still = glance(50, false, 0);
        assert_eq!(lived(&[(0, still.clone()), (11, still.clone()), (12, still.clone())]), None);
        assert!(lived(&[(0, still.clone()), (10, still)]).is_some());
    }
}
