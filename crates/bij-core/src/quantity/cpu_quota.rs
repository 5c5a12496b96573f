//! Shares of processors and of memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Bytes, InvalidQuantity, fixed_point};

/// A share in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(u64);

impl Percent {
    /// All of it.
    pub const HUNDRED: Self = Self(10_000);

    /// A whole number of percent.
    pub const fn new(percent: u32) -> Self {
        Self(percent as u64 * 100)
    }

    /// So many hundredths of a percent.
    pub const fn from_permyriad(permyriad: u64) -> Self {
        Self(permyriad)
    }

    /// This share of an amount of memory.
    pub fn of(self, total: Bytes) -> Bytes {
        let share = u128::from(total.get()) * u128::from(self.0) / 10_000;
        Bytes::new(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// Hundredths of a percent.
    pub const fn permyriad(self) -> u64 {
        self.0
    }

    /// Percent with their fraction, for those who calculate or print.
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

/// Processor time an experiment may use: `100%` is all of one processor, `250%` two and a half.
///
/// It is `CPUQuota=` (systemd.resource-control(5)), kept as `CPUQuotaPerSecUSec` keeps it:
/// microseconds of processor time a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuQuota(u64);

impl CpuQuota {
    /// The quota of so many microseconds of processor time a second; `None` for 0, which systemd
    /// does not take.
    pub fn from_micros_per_sec(micros: u64) -> Option<Self> {
        (micros > 0).then_some(Self(micros))
    }

    /// The quota of so much of one processor; of nothing it is the least that there is.
    pub const fn at_most(share: Percent) -> Self {
        let micros = share.0.saturating_mul(100);
        Self(if micros == 0 { 1 } else { micros })
    }

    /// Microseconds of processor time a second.
    pub const fn micros_per_sec(self) -> u64 {
        self.0
    }

    /// As a share of one processor.
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
