//! Energy, as the integral of power readings.

use bij_core::{Millijoules, Milliwatts, Uptime};

use super::MAX_GAP;

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
    use proptest::prelude::*;

    use super::*;

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
