//! Die, heat sink and air.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The air around, in degrees.
const AMBIENT: f64 = 27.0;
/// The die with its spreader follows its load in about ten seconds, by a quarter of a degree a watt.
const DIE_CAPACITY: f64 = 40.0;
const DIE_TO_SINK: f64 = 0.25;
/// The heat sink takes minutes; in joules a degree.
const SINK_CAPACITY: f64 = 350.0;
/// What the board takes when nothing runs, and with all processors busy, in watts.
const IDLE: f64 = 6.0;
const BUSY: f64 = 60.0;

/// What carries heat off the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fan {
    /// None: warm air rises.
    None,
    /// One that is too weak for full load.
    Weak,
    /// One that is just too weak for full load.
    Strong,
}

/// There is no such fan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no fan: none, weak or strong")]
pub struct UnknownFan(pub String);

impl Fan {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Weak, Self::Strong];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Weak => "weak",
            Self::Strong => "strong",
        }
    }

    /// From the heat sink to the air, in degrees a watt: standing still, and at full speed.
    const fn resistances(self) -> (f64, f64) {
        match self {
            Self::None => (2.0, 2.0),
            Self::Weak => (2.0, 1.0),
            Self::Strong => (1.8, 0.6),
        }
    }

    /// It is off below 45 degrees, at full speed from 70 on, and linear in between, as are the curves
    /// of `nvfancontrol`.
    fn resistance(self, die: f64) -> f64 {
        let (still, full) = self.resistances();
        let speed = ((die - 45.0) / 25.0).clamp(0.0, 1.0);
        // What a fan carries off grows with its speed, so the conductances are mixed.
        1.0 / ((1.0 - speed) / still + speed / full)
    }
}

impl fmt::Display for Fan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fan {
    type Err = UnknownFan;

    fn from_str(name: &str) -> Result<Self, UnknownFan> {
        let known = Self::ALL.into_iter().find(|fan| fan.name() == name);
        known.ok_or_else(|| UnknownFan(name.to_owned()))
    }
}

/// The temperatures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Network {
    fan: Fan,
    pub(super) die: f64,
    pub(super) sink: f64,
}

impl Network {
    /// A board that has stood idle for long.
    pub(super) fn idle(fan: Fan) -> Self {
        let sink = AMBIENT + IDLE * fan.resistance(AMBIENT);
        Self { fan, die: sink + IDLE * DIE_TO_SINK, sink }
    }

    /// Lets so many seconds pass with this share of all processors busy, or with that much heat of
    /// others. They should be fewer than the die's ten.
    pub(super) fn pass(&mut self, seconds: f64, busy: f64) {
        let to_sink = (self.die - self.sink) / DIE_TO_SINK;
        let to_air = (self.sink - AMBIENT) / self.fan.resistance(self.die);
        self.die += (power(busy) - to_sink) * seconds / DIE_CAPACITY;
        self.sink += (to_sink - to_air) * seconds / SINK_CAPACITY;
    }

    /// The share of all processors that holds the die at this temperature for ever.
    pub(super) fn holding(fan: Fan, die: f64) -> f64 {
        let watts = (die - AMBIENT) / (DIE_TO_SINK + fan.resistance(die));
        ((watts - IDLE) / (BUSY - IDLE)).max(0.0)
    }
}

fn power(busy: f64) -> f64 {
    IDLE + (BUSY - IDLE) * busy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_that_holds_a_temperature_holds_it() {
        for fan in Fan::ALL {
            let mut network = Network::idle(fan);
            let busy = Network::holding(fan, 75.0);
            assert!(busy < 1.0, "full load is too much with fan {fan}");
            for _ in 0..200_000 {
                network.pass(0.25, busy);
            }
            assert!((network.die - 75.0).abs() < 0.01, "{fan}: {network:?}");
        }
    }

    #[test]
    fn an_idle_board_stays_as_it_is() {
        for fan in Fan::ALL {
            let mut network = Network::idle(fan);
            network.pass(0.25, 0.0);
            assert_eq!(network, Network::idle(fan));
        }
    }
}
