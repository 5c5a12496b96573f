//! The trip points of thermal zones.

use std::fmt;

use bij_core::Celsius;

use crate::{Files, Reading, WhyNot, parse};

/// A temperature at which the kernel acts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Trip {
    /// The temperature; [`WhyNot::Off`] if it is not set.
    pub celsius: Reading<Celsius>,
    /// The kernel's action at this temperature.
    pub kind: TripKind,
}

/// The kernel's action at a trip; newer kernels may have more kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TripKind {
    /// A fan is switched on.
    Active,
    /// Clocks are lowered, or an alert is raised.
    Passive,
    /// Drivers are notified.
    Hot,
    /// The machine is shut down.
    Critical,
    /// Any other kind, in the kernel's word.
    Other(String),
}

impl TripKind {
    fn new(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "passive" => Self::Passive,
            "hot" => Self::Hot,
            "critical" => Self::Critical,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for TripKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Hot => "hot",
            Self::Critical => "critical",
            Self::Other(word) => word,
        })
    }
}

impl Trip {
    /// Creates a trip at thousandths of a degree.
    ///
    /// The kernel gives 0 for a programmable trip that is not set. Drivers of hwmon pass on their chips' values for
    /// this: an SSD's 65535 K reads as 65261.85 °C, and its 0 K as -273.15 °C.
    pub(super) fn new(kind: TripKind, millis: Reading<i64>) -> Self {
        let celsius = millis.and_then(|millis| match millis {
            ..=0 | super::HOTTEST.. => Err(WhyNot::Off),
            millis => super::celsius(millis),
        });
        Self { celsius, kind }
    }
}

/// Reads the trips of a zone; trips without a temperature are last.
pub(super) fn read_trips(files: &dyn Files, directory: &str) -> Vec<Trip> {
    let names = files.names(directory).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| parse::numbered(name, "trip_point_", "_type"));
    let mut trips: Vec<Trip> = numbers
        .filter_map(|number| {
            let at = |what: &str| format!("{directory}/trip_point_{number}_{what}");
            let kind = TripKind::new(&files.text(&at("type")).ok()?);
            Some(Trip::new(kind, files.number(&at("temp"))))
        })
        .collect();
    trips.sort();
    trips
}
