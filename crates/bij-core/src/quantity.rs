//! Quantities in systemd's notation.
//!
//! Sources: systemd.resource-control(5) for sizes and percentages, systemd.time(7) for spans.

mod bytes;
mod cpu_quota;
mod physical;
mod time_span;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use bytes::Bytes;
pub use cpu_quota::{CpuQuota, Percent};
pub use physical::{Celsius, Hertz, Millijoules, Milliwatts};
pub use time_span::TimeSpan;

/// The error for a text that is not a quantity of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not {expected}")]
pub struct InvalidQuantity {
    /// What was found, cut to 80 characters.
    pub found: String,
    /// What was expected, with an example.
    pub expected: &'static str,
}

impl InvalidQuantity {
    fn new(found: &str, expected: &'static str) -> Self {
        Self { found: found.chars().take(80).collect(), expected }
    }
}

/// A limit that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Limit<T> {
    /// No limit: `infinity`.
    Max,
    /// A limit at this value.
    At(T),
}

impl<T> Limit<T> {
    /// Returns the limit, if there is one.
    pub fn at(self) -> Option<T> {
        match self {
            Self::Max => None,
            Self::At(value) => Some(value),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.pad("infinity"),
            Self::At(value) => value.fmt(f),
        }
    }
}

impl<T: FromStr<Err = InvalidQuantity>> FromStr for Limit<T> {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "infinity" { Ok(Self::Max) } else { text.parse().map(Self::At) }
    }
}

/// A limit of memory: `8G`, `50%` of the machine's memory, or `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryLimit {
    /// A number of bytes, or no limit.
    Absolute(Limit<Bytes>),
    /// A share of the machine's physical memory.
    Share(Percent),
}

impl MemoryLimit {
    /// Returns the limit in bytes on a machine with `total` bytes of memory.
    pub fn resolve(self, total: Bytes) -> Limit<Bytes> {
        match self {
            Self::Absolute(limit) => limit,
            Self::Share(share) => Limit::At(share.share_of(total)),
        }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(limit) => limit.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

impl FromStr for MemoryLimit {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.ends_with('%') {
            let share: Percent = text.parse()?;
            if share > Percent::HUNDRED {
                return Err(InvalidQuantity::new(text, "a share of memory up to 100%"));
            }
            Ok(Self::Share(share))
        } else {
            text.parse().map(Self::Absolute)
        }
    }
}

/// Parses a decimal number such as `12.5` and returns it times `factor`, rounded down; `None` for other text
/// and if the result exceeds `u64`. As in systemd, decimals beyond the result's precision are cut.
fn fixed_point(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut value = u128::from(whole.parse::<u64>().ok()?) * u128::from(factor);
    let mut unit = u128::from(factor);
    for digit in fraction.bytes() {
        // Each decimal place is worth a tenth of the place before it.
        value += unit * u128::from(digit - b'0') / 10;
        unit /= 10;
    }
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests;
