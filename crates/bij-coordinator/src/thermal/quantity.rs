//! Quantities of the ladder's calculations.
//!
//! They are continuous, because they are smoothed and scaled at each observation and rounding errors would add up.
//! Readings, settings and caps have the rounded types of `bij-core`, from which these are converted.

use std::iter::Sum;
use std::ops::{Add, Div, Mul, Sub};

use bij_core::{Celsius, Percent, TimeSpan};

/// A temperature in degrees Celsius.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct Temperature(f64);

/// A difference of two temperatures in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct Degrees(f64);

/// A change of temperature in degrees a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct DegreesPerSecond(f64);

/// Processor time in percent of one processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct CpuShare(f64);

impl Temperature {
    /// Below every reading.
    pub(super) const LOWEST: Self = Self(f64::NEG_INFINITY);

    /// Creates a temperature from degrees Celsius.
    pub(super) const fn new(degrees: f64) -> Self {
        Self(degrees)
    }

    /// Returns the temperature rounded to thousandths of a degree.
    pub(super) fn celsius(self) -> Celsius {
        Celsius::from_degrees(self.0)
    }

    /// Returns the higher of two temperatures.
    pub(super) fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Compares two temperatures in a total order.
    pub(super) fn total_cmp(self, other: Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }

    /// Returns the temperature halfway between two.
    pub(super) fn midpoint(self, other: Self) -> Self {
        Self(f64::midpoint(self.0, other.0))
    }
}

impl From<Celsius> for Temperature {
    fn from(celsius: Celsius) -> Self {
        Self(celsius.degrees())
    }
}

impl Degrees {
    /// Creates a difference from degrees.
    pub(super) const fn new(degrees: f64) -> Self {
        Self(degrees)
    }

    /// Returns the ratio to another difference; one that is not positive counts as the smallest positive one.
    pub(super) fn ratio_to(self, other: Self) -> f64 {
        self.0 / other.0.max(f64::MIN_POSITIVE)
    }
}

impl DegreesPerSecond {
    /// Returns the slope of a rise; 0 for a fall.
    pub(super) fn rise(self) -> Self {
        Self(self.0.max(0.0))
    }

    /// Returns the slope of a fall; 0 for a rise.
    pub(super) fn fall(self) -> Self {
        Self(self.0.min(0.0))
    }
}

impl CpuShare {
    /// No processor time.
    pub(super) const ZERO: Self = Self(0.0);
    /// More than every machine has.
    pub(super) const UNLIMITED: Self = Self(f64::INFINITY);

    /// Creates a share from percent of one processor.
    pub(super) const fn new(percent: f64) -> Self {
        Self(percent)
    }

    /// Returns the mean use of processors over a span.
    pub(super) fn used(cpu_time: TimeSpan, over: TimeSpan) -> Self {
        Self(cpu_time.as_secs_f64() / over.as_secs_f64() * 100.0)
    }

    /// Returns the share as a quota for systemd, which takes no smaller one than 1 %: rounded to whole percent.
    pub(super) fn quota(self) -> Percent {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let whole = self.0.round().clamp(1.0, f64::from(u32::MAX / 100)) as u32;
        Percent::new(whole)
    }

    /// Returns the larger of two shares.
    pub(super) fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Returns the smaller of two shares.
    pub(super) fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// Returns the ratio to another share; no processor time counts as the smallest positive share.
    pub(super) fn ratio_to(self, other: Self) -> f64 {
        self.0 / other.0.max(f64::MIN_POSITIVE)
    }
}

impl From<Percent> for CpuShare {
    fn from(percent: Percent) -> Self {
        Self(percent.percents())
    }
}

/// Returns the weight of a new value in an average that forgets with this time constant, after a time without one.
pub(super) fn smoothing_weight(elapsed: TimeSpan, time_constant: TimeSpan) -> f64 {
    let elapsed = elapsed.as_secs_f64();
    elapsed / (elapsed + time_constant.as_secs_f64())
}

impl Add<Degrees> for Temperature {
    type Output = Self;
    fn add(self, rise: Degrees) -> Self {
        Self(self.0 + rise.0)
    }
}

impl Sub<Degrees> for Temperature {
    type Output = Self;
    fn sub(self, fall: Degrees) -> Self {
        Self(self.0 - fall.0)
    }
}

impl Sub for Temperature {
    type Output = Degrees;
    fn sub(self, other: Self) -> Degrees {
        Degrees(self.0 - other.0)
    }
}

impl Mul<f64> for Degrees {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Div<TimeSpan> for Degrees {
    type Output = DegreesPerSecond;
    fn div(self, span: TimeSpan) -> DegreesPerSecond {
        DegreesPerSecond(self.0 / span.as_secs_f64())
    }
}

impl Mul<TimeSpan> for DegreesPerSecond {
    type Output = Degrees;
    fn mul(self, span: TimeSpan) -> Degrees {
        Degrees(self.0 * span.as_secs_f64())
    }
}

impl Mul<f64> for DegreesPerSecond {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Add for DegreesPerSecond {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for DegreesPerSecond {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<f64> for CpuShare {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Add for CpuShare {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for CpuShare {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for CpuShare {
    fn sum<I: Iterator<Item = Self>>(shares: I) -> Self {
        shares.fold(Self::ZERO, Add::add)
    }
}
