//! Amounts of memory.

use std::fmt;
use std::str::FromStr;

use super::{InvalidQuantity, fixed_point};

const EXPECTED: &str =
    "a size such as 512M, 8G or 1.5G (K, M, G, T, P, E to the base 1024; a bare number is bytes)";

/// The suffixes of systemd's sizes, largest first (systemd.resource-control(5)).
const SUFFIXES: [(char, u64); 6] = [
    ('E', 1 << 60),
    ('P', 1 << 50),
    ('T', 1 << 40),
    ('G', 1 << 30),
    ('M', 1 << 20),
    ('K', 1 << 10),
];

/// An amount of memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Bytes(u64);

impl Bytes {
    /// Creates an amount of this number of bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the sum, or `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Bytes {
    /// Writes sizes as systemctl does: `512.0M`, `8.0G`, and plain bytes below a kilobyte (`17B`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match SUFFIXES.iter().find(|(_, factor)| self.0 >= *factor) {
            None => format!("{}B", self.0),
            Some((suffix, factor)) => {
                let tenths = u128::from(self.0) * 10 / u128::from(*factor);
                format!("{}.{}{suffix}", tenths / 10, tenths % 10)
            }
        };
        f.pad(&text)
    }
}

impl FromStr for Bytes {
    type Err = InvalidQuantity;

    /// Parses a size. Several parts with descending units add up, as in `1G 512M`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidQuantity::new(text, EXPECTED);
        let (mut total, mut ceiling) = (0u64, u64::MAX);
        for part in text.split_whitespace() {
            let (number, factor) = match part.chars().last() {
                Some('B') => (&part[..part.len() - 1], 1),
                Some(last) => match SUFFIXES.iter().find(|(suffix, _)| *suffix == last) {
                    Some((_, factor)) => (&part[..part.len() - 1], *factor),
                    None => (part, 1),
                },
                None => return Err(invalid()),
            };
            if factor >= ceiling {
                return Err(invalid());
            }
            ceiling = factor;
            let value = fixed_point(number, factor).ok_or_else(invalid)?;
            total = total.checked_add(value).ok_or_else(invalid)?;
        }
        if ceiling == u64::MAX { Err(invalid()) } else { Ok(Self(total)) }
    }
}
