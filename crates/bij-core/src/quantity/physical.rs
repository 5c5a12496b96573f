//! Temperatures, powers, energies and clock rates.
//!
//! They keep the units of the kernel's files, so that nothing is rounded: thousandths of a degree (the
//! kernel's Documentation/ABI/testing/sysfs-class-thermal), thousandths of a watt, and Hz.

use std::fmt;

/// A temperature in thousandths of a degree Celsius.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Celsius(i32);

impl Celsius {
    /// Creates a temperature of a whole number of degrees.
    pub const fn new(degrees: i16) -> Self {
        Self(degrees as i32 * 1000)
    }

    /// Creates a temperature from thousandths of a degree.
    pub const fn from_millis(millis: i32) -> Self {
        Self(millis)
    }

    /// Creates a temperature from degrees, rounded to the nearest thousandth and clamped to the range of the
    /// type.
    pub fn from_degrees(degrees: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "rounded, and clamping is intended")]
        let millis = (degrees * 1000.0).round() as i32;
        Self(millis)
    }

    /// Returns the temperature in thousandths of a degree.
    pub const fn millis(self) -> i32 {
        self.0
    }

    /// Returns the temperature in degrees with their fraction, for calculations and output.
    pub fn degrees(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl fmt::Display for Celsius {
    /// Writes one decimal: `52.8 °C`. It is rounded down, so that a temperature below a threshold is never
    /// shown as having reached it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.div_euclid(100);
        let sign = if tenths < 0 { "-" } else { "" };
        let tenths = tenths.unsigned_abs();
        f.pad(&format!("{sign}{}.{} °C", tenths / 10, tenths % 10))
    }
}

/// A power in thousandths of a watt; negative if a rail feeds power back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Milliwatts(i64);

impl Milliwatts {
    /// Creates a power from thousandths of a watt.
    pub const fn new(milliwatts: i64) -> Self {
        Self(milliwatts)
    }

    /// Returns the power in thousandths of a watt.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Returns the sum, or `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Milliwatts {
    /// Writes powers as tegrastats does: `3178mW`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}mW", self.0))
    }
}

/// An energy in thousandths of a joule (milliwatt-seconds); negative if power was fed back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Millijoules(i64);

impl Millijoules {
    /// Creates an energy from thousandths of a joule.
    pub const fn new(millijoules: i64) -> Self {
        Self(millijoules)
    }

    /// Returns the energy in thousandths of a joule.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Returns the energy in whole joules, for output.
    pub const fn joules(self) -> i64 {
        self.0 / 1000
    }
}

impl fmt::Display for Millijoules {
    /// Writes whole joules: `1234 J`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} J", self.joules()))
    }
}

/// A clock rate in hertz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Hertz(u64);

impl Hertz {
    /// Creates a rate from hertz.
    pub const fn new(hertz: u64) -> Self {
        Self(hertz)
    }

    /// Creates a rate from kilohertz; `None` on overflow.
    pub const fn from_kilohertz(kilohertz: u64) -> Option<Self> {
        match kilohertz.checked_mul(1000) {
            Some(hertz) => Some(Self(hertz)),
            None => None,
        }
    }

    /// Returns the rate in hertz.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Hertz {
    /// Writes whole megahertz, as in nvpmodel's tables: `1300 MHz`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} MHz", self.0 / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_is_never_shown_higher_than_it_is() {
        assert_eq!(Celsius::from_millis(84_999).to_string(), "84.9 °C");
        assert_eq!(Celsius::new(85).to_string(), "85.0 °C");
        assert_eq!(Celsius::from_millis(-50).to_string(), "-0.1 °C");
        assert_eq!(Celsius::from_millis(-12_300).to_string(), "-12.3 °C");
        assert!(Celsius::new(-40) < Celsius::new(0));
    }

    #[test]
    fn degrees_are_rounded_to_the_nearest_thousandth() {
        assert_eq!(Celsius::from_degrees(72.5), Celsius::from_millis(72_500));
        assert_eq!(Celsius::from_degrees(-0.0006), Celsius::from_millis(-1));
        assert_eq!(Celsius::from_degrees(1e300), Celsius::from_millis(i32::MAX));
    }

    #[test]
    fn powers_have_a_sign_and_their_sums_are_checked() {
        assert_eq!(Milliwatts::new(-398).to_string(), "-398mW");
        let sum = Milliwatts::new(500).checked_add(Milliwatts::new(-398));
        assert_eq!(sum, Some(Milliwatts::new(102)));
        assert_eq!(Milliwatts::new(i64::MAX).checked_add(Milliwatts::new(1)), None);
        assert_eq!(Millijoules::new(1_234_999).to_string(), "1234 J");
        assert_eq!(Millijoules::new(-1_500).to_string(), "-1 J");
    }

    #[test]
    fn rates_are_shown_in_megahertz() {
        assert_eq!(Hertz::from_kilohertz(729_600).map(Hertz::get), Some(729_600_000));
        assert_eq!(Hertz::new(1_300_500_000).to_string(), "1300 MHz");
        assert_eq!(Hertz::from_kilohertz(u64::MAX), None);
    }
}
