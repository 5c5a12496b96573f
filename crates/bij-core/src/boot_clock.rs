//! Points in time by the two clocks of a boot, which are never set.

use std::ops::{Add, Sub};

use crate::TimeSpan;

macro_rules! boot_clocks {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        ///
        /// Arithmetic saturates: no point lies before the boot, and the difference to a later point is zero.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(u64);

        impl $name {
            /// The boot, zero on this clock.
            pub const BOOT: Self = Self(0);
            /// The last point on this clock.
            pub const MAX: Self = Self(u64::MAX);

            /// Creates the point this many microseconds after the boot.
            pub const fn from_micros(micros: u64) -> Self {
                Self(micros)
            }

            /// Creates the point this many seconds after the boot.
            pub const fn from_secs(secs: u32) -> Self {
                Self(TimeSpan::from_secs(secs).as_micros())
            }

            /// Returns the microseconds since the boot.
            pub const fn as_micros(self) -> u64 {
                self.0
            }

            /// Returns the time from `earlier` to this; `None` if `earlier` is later than this.
            pub fn since(self, earlier: Self) -> Option<TimeSpan> {
                self.0.checked_sub(earlier.0).map(TimeSpan::from_micros)
            }
        }

        impl Add<TimeSpan> for $name {
            type Output = Self;
            fn add(self, span: TimeSpan) -> Self {
                Self(self.0.saturating_add(span.as_micros()))
            }
        }

        impl Sub<TimeSpan> for $name {
            type Output = Self;
            fn sub(self, span: TimeSpan) -> Self {
                Self(self.0.saturating_sub(span.as_micros()))
            }
        }

        impl Sub for $name {
            type Output = TimeSpan;
            fn sub(self, earlier: Self) -> TimeSpan {
                self.since(earlier).unwrap_or_default()
            }
        }
    )+};
}

boot_clocks! {
    /// A point in time by `CLOCK_BOOTTIME`, which counts suspends as well (`clock_gettime(2)`).
    Uptime
    /// A point in time by `CLOCK_MONOTONIC`, which stands still while the machine is suspended (`clock_gettime(2)`); the
    /// clock of systemd's time stamps and of the kernel's log.
    MonotonicTime
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let (three, five) = (Uptime::from_secs(3), Uptime::from_secs(5));
        let two = TimeSpan::from_secs(2);
        assert_eq!((five - three, three - five), (two, TimeSpan::default()));
        assert_eq!((three + two, five - two), (five, three));
        assert_eq!(Uptime::MAX + two, Uptime::MAX);
        assert_eq!(three - TimeSpan::from_secs(4), Uptime::BOOT);
        assert_eq!((five.since(three), three.since(five)), (Some(two), None));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_point_is_written_as_its_microseconds() {
        assert_eq!(serde_json::to_string(&Uptime::from_secs(1)).unwrap(), "1000000");
        assert_eq!(serde_json::from_str::<MonotonicTime>("7").unwrap().as_micros(), 7);
    }
}
