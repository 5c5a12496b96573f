//! Quantities, read and written as systemd reads and writes them.
//!
//! Sources: systemd.resource-control(5) for sizes and percentages, systemd.time(7) for spans.

mod bytes;
mod cpu_quota;
mod physical;
mod time_span;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use bytes::Bytes;
pub use cpu_quota::{CpuQuota, Percent};
pub use physical::{Celsius, Hertz, Millijoules, Milliwatts};
pub use time_span::TimeSpan;

/// Why a text is no quantity of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not {expected}")]
pub struct InvalidQuantity {
    /// What was found, cut to 80 characters.
    pub found: String,
    /// What it should have been, with an example.
    pub expected: &'static str,
}

impl InvalidQuantity {
    fn new(found: &str, expected: &'static str) -> Self {
        Self { found: found.chars().take(80).collect(), expected }
    }
}

/// A bound that may be absent; never a magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit<T> {
    /// No bound: `infinity`.
    Max,
    /// At most this much.
    At(T),
}

impl<T> Limit<T> {
    /// The bound, if there is one.
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

/// A bound on memory: `8G`, `50%` of the machine's memory, or `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryLimit {
    /// So many bytes, or no bound.
    Absolute(Limit<Bytes>),
    /// A share of the machine's physical memory.
    Share(Percent),
}

impl MemoryLimit {
    /// The bound in bytes on a machine with `total` bytes of memory.
    pub fn resolve(self, total: Bytes) -> Limit<Bytes> {
        match self {
            Self::Absolute(limit) => limit,
            Self::Share(share) => Limit::At(share.of(total)),
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

/// Reads `12.5` as a whole number of `1/scale`s (scale a power of ten) times `factor`.
///
/// Digits past the scale must be there for a reason: they are refused only where they are no
/// digits, and cut otherwise, as systemd does.
fn fixed_point(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut value = u128::from(whole.parse::<u64>().ok()?) * u128::from(factor);
    let mut unit = u128::from(factor);
    for digit in fraction.bytes() {
        // Each place is a tenth of the one before; what is left of the unit is what can be told.
        value += unit * u128::from(digit - b'0') / 10;
        unit /= 10;
    }
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests;
