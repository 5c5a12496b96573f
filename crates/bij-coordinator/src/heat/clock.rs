//! The GPU's clock, by the share of their work that those that use it are left.

use bij_core::Hertz;

use super::GpuClockState;
use super::spread::WHOLE;

/// The clock is bounded to this share of its highest rate at least: the voltage falls no further below,
/// so that little is saved.
const FLOOR: f64 = 0.2;

/// The bound for a share; `None` is none. Rates are few: where processor time can be bounded as well, and
/// as finely as one likes, it is the next higher one, or the one in force if that is one more; otherwise
/// it is the nearest.
pub(super) fn bound(gpu: GpuClockState<'_>, share: f64, beside_caps: bool) -> Option<Hertz> {
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
    // Less than all is less than the highest rate, or nothing would be done.
    if nearest == *top { below.last().copied() } else { Some(nearest) }
}

/// The share that the bound in force leaves.
pub(super) fn share_of(gpu: GpuClockState<'_>) -> f64 {
    let top = gpu.rates.last().copied();
    gpu.bound.zip(top).map_or(1.0, |(bound, top)| (hertz(bound) / hertz(top)).min(1.0))
}

fn hertz(rate: Hertz) -> f64 {
    // Whole kilohertz are exact, and no clock is faster than that takes.
    f64::from(u32::try_from(rate.get() / 1000).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_met_by_the_rates_that_there_are() {
        let rates = [300, 600, 900, 1200].map(|mega| Hertz::new(mega * 1_000_000));
        let gpu = |bound| GpuClockState { rates: &rates, bound };
        let mega = |share, caps| bound(gpu(None), share, caps).map(|rate| rate.get() / 1_000_000);
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
        assert_eq!(bound(gpu(Some(rates[2])), 0.4, true), Some(rates[2]), "one more is no matter");
        assert_eq!(bound(gpu(Some(rates[2])), 0.2, true), Some(rates[0]));
        assert_eq!(bound(gpu(Some(rates[0])), 0.4, true), Some(rates[1]));
        let few = |count| GpuClockState { rates: &rates[..count], bound: None };
        assert_eq!(bound(few(1), 0.5, false), None, "it has one rate only");
        assert_eq!(bound(few(0), 0.5, true), None);
        assert!((share_of(gpu(Some(rates[1]))) - 0.5).abs() < 1e-9);
        assert!((share_of(gpu(None)) - 1.0).abs() < 1e-9);
    }
}
