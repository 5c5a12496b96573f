//! The temperatures at which the kernel does something.

use std::fmt;

use bij_core::Celsius;

use crate::{Files, Reading, WhyNot, parse};

/// A temperature at which the kernel does something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Trip {
    /// At which temperature; one that nobody has set is [`WhyNot::Off`].
    pub celsius: Reading<Celsius>,
    /// What it does.
    pub kind: TripKind,
}

/// What the kernel does at a trip; it may have learnt more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TripKind {
    /// A fan turns.
    Active,
    /// Clocks go down, or an alert is raised.
    Passive,
    /// It tells.
    Hot,
    /// It shuts the machine down.
    Critical,
    /// Another word of the kernel.
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
    /// A trip at thousandths of a degree.
    ///
    /// 0 is how the kernel says that a programmable trip is not set. Drivers of hwmon pass on the words of their
    /// chips for that: an SSD's 65535 K reads as 65261.85 °C, and its 0 K as -273.15 °C.
    pub(super) fn new(kind: TripKind, millis: Reading<i64>) -> Self {
        let celsius = millis.and_then(|millis| match millis {
            ..=0 | super::HOTTEST.. => Err(WhyNot::Off),
            millis => super::celsius(millis),
        });
        Self { celsius, kind }
    }
}

/// The trips of a zone, those without a temperature last.
pub(super) fn of_zone(files: &dyn Files, directory: &str) -> Vec<Trip> {
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
