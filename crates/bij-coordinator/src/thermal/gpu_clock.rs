//! Limit of the GPU's clock, from the share of their work that is left to the experiments that use it.

use bij_core::Hertz;

/// Smallest limit, as a share of the highest rate: below it the voltage falls no further, so that little
/// is saved.
const FLOOR: f64 = 0.2;
/// Share from which no limit is set.
pub(super) const WHOLE: f64 = 0.98;

/// State of the GPU's clock, which all experiments share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuClockReading<'a> {
    /// Rates that it can be capped to, ascending; the last is the rate without a cap.
    pub rates: &'a [Hertz],
    /// Cap set by the ladder, unless another program has changed it since.
    pub bound: Option<Hertz>,
}

impl GpuClockReading<'_> {
    /// Returns the limit for a share; `None` is unlimited. The available rates are few. If processor time can be
    /// capped as well, and so more finely, the result is the next higher rate, or the one above it if that is
    /// in force. Otherwise it is the nearest rate.
    pub(super) fn limit(self, share: f64, beside_caps: bool) -> Option<Hertz> {
        let rates = self.rates;
        let (top, below) = rates.split_last()?;
        if share >= WHOLE {
            return None;
        }
        let wanted = kilohertz(*top) * share.max(FLOOR);
        if beside_caps {
            let mut enough = rates.iter().copied().filter(|rate| kilohertz(*rate) >= wanted);
            let (next, above) = (enough.next(), enough.next());
            let bound = if above.is_some() && above == self.bound { above } else { next };
            return bound.filter(|rate| rate != top);
        }
        let distance = |rate: &Hertz| (kilohertz(*rate) - wanted).abs();
        let nearest = rates.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
        // A share below 1 needs less than the highest rate, or it would have no effect.
        if nearest == *top { below.last().copied() } else { Some(nearest) }
    }

    /// Returns the share that the limit in force leaves.
    pub(super) fn share(self) -> f64 {
        let top = self.rates.last().copied();
        self.bound.zip(top).map_or(1.0, |(bound, top)| (kilohertz(bound) / kilohertz(top)).min(1.0))
    }
}

/// Returns a rate for calculations: whole kilohertz are exact, and every possible rate fits.
fn kilohertz(rate: Hertz) -> f64 {
    f64::from(u32::try_from(rate.get() / 1000).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_met_by_the_rates_that_there_are() {
        let rates = [300, 600, 900, 1200].map(|mega| Hertz::new(mega * 1_000_000));
        let gpu = |bound| GpuClockReading { rates: &rates, bound };
        let mega = |share, caps| gpu(None).limit(share, caps).map(|rate| rate.get() / 1_000_000);
        for (share, alone, beside_caps) in [
            (1.0, None, None),
            (0.97, Some(900), None),
            (0.7, Some(900), Some(900)),
            (0.6, Some(600), Some(900)),
            (0.3, Some(300), Some(600)),
            (0.0, Some(300), Some(300)),
        ] {
            assert_eq!((mega(share, false), mega(share, true)), (alone, beside_caps), "{share}");
        }
        assert_eq!(gpu(Some(rates[2])).limit(0.4, true), Some(rates[2]), "one more is no matter");
        assert_eq!(gpu(Some(rates[2])).limit(0.2, true), Some(rates[0]));
        assert_eq!(gpu(Some(rates[0])).limit(0.4, true), Some(rates[1]));
        let few = |count| GpuClockReading { rates: &rates[..count], bound: None };
        assert_eq!(few(1).limit(0.5, false), None, "it has one rate only");
        assert_eq!(few(0).limit(0.5, true), None);
        assert!((gpu(Some(rates[1])).share() - 0.5).abs() < 1e-9);
        assert!((gpu(None).share() - 1.0).abs() < 1e-9);
    }
}
