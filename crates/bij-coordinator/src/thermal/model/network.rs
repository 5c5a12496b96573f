//! The thermal network: die, heat sink and air.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Temperature of the air, in degrees.
const AMBIENT: f64 = 27.0;
/// The die with its spreader follows its load within about ten seconds, by a quarter of a degree a
/// watt.
const DIE_CAPACITY: f64 = 40.0;
const DIE_TO_SINK: f64 = 0.25;
/// The heat sink follows within minutes; in joules per degree.
const SINK_CAPACITY: f64 = 350.0;
/// Power of the idle board, and with all processors busy, in watts.
const IDLE: f64 = 6.0;
const BUSY: f64 = 60.0;

/// The fan on the heat sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FanModel {
    /// No fan: warm air rises.
    None,
    /// A fan that is too weak for full load.
    Weak,
    /// A fan that is just too weak for full load.
    Strong,
}

/// The error for an unknown name of a fan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no fan: none, weak or strong")]
pub struct UnknownFan(pub String);

impl FanModel {
    /// All fans, from none to strong.
    pub const ALL: [Self; 3] = [Self::None, Self::Weak, Self::Strong];

    /// Returns the name of the fan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Weak => "weak",
            Self::Strong => "strong",
        }
    }

    /// Returns the resistance from the heat sink to the air, in degrees per watt: with the fan off,
    /// and at full speed.
    const fn resistances(self) -> (f64, f64) {
        match self {
            Self::None => (2.0, 2.0),
            Self::Weak => (2.0, 1.0),
            Self::Strong => (1.8, 0.6),
        }
    }

    /// Returns the resistance at a temperature. The fan is off below 45 degrees, at full speed from
    /// 70 on, and linear in between, as are the curves of `nvfancontrol`.
    fn resistance(self, die: f64) -> f64 {
        let (still, full) = self.resistances();
        let speed = ((die - 45.0) / 25.0).clamp(0.0, 1.0);
        // The heat that a fan removes grows with its speed, so the conductances are interpolated.
        1.0 / ((1.0 - speed) / still + speed / full)
    }
}

impl fmt::Display for FanModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for FanModel {
    type Err = UnknownFan;

    fn from_str(name: &str) -> Result<Self, UnknownFan> {
        let known = Self::ALL.into_iter().find(|fan| fan.name() == name);
        known.ok_or_else(|| UnknownFan(name.to_owned()))
    }
}

/// The temperatures of die and heat sink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ThermalNetwork {
    fan: FanModel,
    pub(super) die: f64,
    pub(super) sink: f64,
}

impl ThermalNetwork {
    /// Returns a board that has been idle for a long time.
    pub(super) fn idle(fan: FanModel) -> Self {
        let sink = AMBIENT + IDLE * fan.resistance(AMBIENT);
        Self { fan, die: sink + IDLE * DIE_TO_SINK, sink }
    }

    /// Advances the time in seconds with this share of all processors busy, GPU heat included. The
    /// time must be well below the ten seconds of the die.
    pub(super) fn pass(&mut self, seconds: f64, busy: f64) {
        let to_sink = (self.die - self.sink) / DIE_TO_SINK;
        let to_air = (self.sink - AMBIENT) / self.fan.resistance(self.die);
        self.die += (power(busy) - to_sink) * seconds / DIE_CAPACITY;
        self.sink += (to_sink - to_air) * seconds / SINK_CAPACITY;
    }

    /// Returns the share of all processors that holds the die at this temperature forever.
    pub(super) fn holding(fan: FanModel, die: f64) -> f64 {
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
        for fan in FanModel::ALL {
            let mut network = ThermalNetwork::idle(fan);
            let busy = ThermalNetwork::holding(fan, 75.0);
            assert!(busy < 1.0, "full load is too much with fan {fan}");
            for _ in 0..200_000 {
                network.pass(0.25, busy);
            }
            assert!((network.die - 75.0).abs() < 0.01, "{fan}: {network:?}");
        }
    }

    #[test]
    fn an_idle_board_keeps_its_temperature() {
        for fan in FanModel::ALL {
            let mut network = ThermalNetwork::idle(fan);
            network.pass(0.25, 0.0);
            assert_eq!(network, ThermalNetwork::idle(fan));
        }
    }
}
