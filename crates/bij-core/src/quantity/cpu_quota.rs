//! Shares of processors and of memory.

use std::fmt;
use std::str::FromStr;

use super::{Bytes, InvalidQuantity, fixed_point};

/// A percentage in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Percent(u64);

impl Percent {
    /// One hundred percent.
    pub const HUNDRED: Self = Self(10_000);

    /// Creates a share of a whole number of percent.
    pub const fn new(percent: u32) -> Self {
        Self(percent as u64 * 100)
    }

    /// Creates a share from hundredths of a percent.
    pub const fn from_permyriad(permyriad: u64) -> Self {
        Self(permyriad)
    }

    /// Returns this share of an amount of memory.
    pub fn share_of(self, total: Bytes) -> Bytes {
        let share = u128::from(total.get()) * u128::from(self.0) / 10_000;
        Bytes::new(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// Returns the share in hundredths of a percent.
    pub const fn permyriad(self) -> u64 {
        self.0
    }

    /// Returns the share in percent with its fraction, for calculations and output.
    pub fn percents(self) -> f64 {
        f64::from(u32::try_from(self.0).unwrap_or(u32::MAX)) / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 % 100 {
            0 => format!("{}%", self.0 / 100),
            rest => format!("{}.{rest:02}%", self.0 / 100).replace("0%", "%"),
        };
        f.pad(&text)
    }
}

impl FromStr for Percent {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidQuantity::new(text, "a percentage such as 50%");
        let number = text.trim().strip_suffix('%').ok_or_else(invalid)?;
        fixed_point(number.trim_end(), 100).map(Self).ok_or_else(invalid)
    }
}

/// A limit of processor time: `100%` is one whole processor, `250%` two and a half.
///
/// It is `CPUQuota=` (systemd.resource-control(5)), kept as `CPUQuotaPerSecUSec` keeps it:
/// microseconds of processor time per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct CpuQuota(u64);

impl CpuQuota {
    /// Creates a quota from microseconds of processor time per second; `None` for 0, which systemd refuses.
    pub fn from_micros_per_sec(micros: u64) -> Option<Self> {
        (micros > 0).then_some(Self(micros))
    }

    /// Creates the quota of a share of one processor; a share of 0 gives the smallest quota.
    pub const fn at_most(share: Percent) -> Self {
        let micros = share.0.saturating_mul(100);
        Self(if micros == 0 { 1 } else { micros })
    }

    /// Returns the quota in microseconds of processor time per second.
    pub const fn micros_per_sec(self) -> u64 {
        self.0
    }

    /// Returns the quota as a share of one processor.
    pub const fn percent(self) -> Percent {
        Percent(self.0 / 100)
    }
}

impl fmt::Display for CpuQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.percent().fmt(f)
    }
}

impl FromStr for CpuQuota {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a share of processors such as 100% (one whole processor) or 250%";
        let invalid = || InvalidQuantity::new(text, expected);
        let share: Percent = text.parse().map_err(|_| invalid())?;
        share.0.checked_mul(100).and_then(Self::from_micros_per_sec).ok_or_else(invalid)
    }
}
