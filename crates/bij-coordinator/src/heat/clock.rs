//! Limit of the GPU's clock, from the share of their work that is left to the experiments that use it.

use bij_core::Hertz;

use super::GpuClockState;
use super::allocation::WHOLE;

/// Smallest limit, as a share of the highest rate: below it the voltage falls no further, so that little
/// is saved.
const FLOOR: f64 = 0.2;

/// Returns the limit for a share; `None` is unlimited. The available rates are few. If processor time can be
/// capped as well, and so more finely, the result is the next higher rate, or the one above it if that is
/// in force. Otherwise it is the nearest rate.
pub(super) fn limit(gpu: GpuClockState<'_>, share: f64, beside_caps: bool) -> Option<Hertz> {
    let rates = gpu.rates;
    let (top, below) = rates.split_last()?;
    if share >= WHOLE {
        return None;
    }
    let wanted = hertz(*top) * share.max(FLOOR);
    if beside_caps {
        let mut enough = rates.iter().copied().filter(|rate| hertz(*rate) >= wanted);
        let (next, above) = (enough.next(), enough.next());
        let bound = if above.is_some() && above == gpu.bound { above } else { next };
        return bound.filter(|rate| rate != top);
    }
    let distance = |rate: &Hertz| (hertz(*rate) - wanted).abs();
    let nearest = rates.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    // A share below 1 needs less than the highest rate, or it would have no effect.
    if nearest == *top { below.last().copied() } else { Some(nearest) }
}

/// Returns the share that the limit in force leaves.
pub(super) fn share(gpu: GpuClockState<'_>) -> f64 {
    let top = gpu.rates.last().copied();
    gpu.bound.zip(top).map_or(1.0, |(bound, top)| (hertz(bound) / hertz(top)).min(1.0))
}

fn hertz(rate: Hertz) -> f64 {
    // Whole kilohertz are exact, and every possible rate fits.
    f64::from(u32::try_from(rate.get() / 1000).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_met_by_the_rates_that_there_are() {
        let rates = [300, 600, 900, 1200].map(|mega| Hertz::new(mega * 1_000_000));
        let gpu = |bound| GpuClockState { rates: &rates, bound };
        let mega = |share, caps| limit(gpu(None), share, caps).map(|rate| rate.get() / 1_000_000);
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
        assert_eq!(limit(gpu(Some(rates[2])), 0.4, true), Some(rates[2]), "one more is no matter");
        assert_eq!(limit(gpu(Some(rates[2])), 0.2, true), Some(rates[0]));
        assert_eq!(limit(gpu(Some(rates[0])), 0.4, true), Some(rates[1]));
        let few = |count| GpuClockState { rates: &rates[..count], bound: None };
        assert_eq!(limit(few(1), 0.5, false), None, "it has one rate only");
        assert_eq!(limit(few(0), 0.5, true), None);
        assert!((share(gpu(Some(rates[1]))) - 0.5).abs() < 1e-9);
        assert!((share(gpu(None)) - 1.0).abs() < 1e-9);
    }
}
