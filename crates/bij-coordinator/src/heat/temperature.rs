//! Temperature of the board: smoothed readings, their slope, and zones that became unreadable.

use std::collections::BTreeMap;

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, TimeSpan};

use super::moves::Because;

/// Time constant of the smoothing of readings, in seconds: sensors have a noise of half a degree, and a die
/// needs about as long to follow its load.
const SMOOTHING: f64 = 8.0;
/// Time constant of the smoothing of slopes, in seconds.
const SLOPE_SMOOTHING: f64 = 20.0;
/// How far the ladder extrapolates the temperature, in seconds.
pub(super) const LEAD: f64 = 20.0;
/// Degrees below the threshold: a zone that was last read hotter than this and becomes unreadable is missed; a
/// cooler one counts as switched off with its device.
const MISSED_BELOW: f64 = 10.0;
/// Seconds after which a missed zone counts as switched off, if the others are cool.
const GIVEN_UP_AFTER: f64 = 300.0;

/// Tracks temperatures from reading to reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TemperatureTracker {
    at: Option<TimeSpan>,
    /// Hottest reading of the last observation that had one.
    raw: Option<f64>,
    smoothed: f64,
    slope: f64,
    zones: BTreeMap<String, KnownZone>,
}

/// A zone that has been read before.
#[derive(Clone, Debug, PartialEq)]
struct KnownZone {
    last: f64,
    gone_since: Option<TimeSpan>,
}

/// Summary of the readings of all zones.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ZoneSummary {
    /// At least one zone could be read.
    Trend(TemperatureTrend),
    /// The machine has no thermal zones and never had.
    NoZones,
    /// No zone can be read; the reason is a fragment.
    Unreadable(String),
}

/// Temperature of the hottest zone and its trend, in degrees Celsius.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TemperatureTrend {
    zone: String,
    /// Hottest reading, not smoothed.
    pub(super) raw: f64,
    /// Hottest reading of the observation before.
    pub(super) before: Option<f64>,
    /// Smoothed hottest reading.
    pub(super) smoothed: f64,
    /// Slope of the smoothed reading, in degrees a second.
    pub(super) slope: f64,
    /// Zones that were hot and have become unreadable, as a fragment.
    pub(super) missed: Option<String>,
}

impl TemperatureTrend {
    /// Returns the temperature in this many seconds if it keeps rising; never less than the present one.
    pub(super) fn after(&self, seconds: f64) -> f64 {
        self.smoothed + self.slope.max(0.0) * seconds
    }

    pub(super) fn because(&self) -> Because {
        let (celsius, soon) = (self.raw, self.after(LEAD).max(self.raw));
        Because::Zone {
            zone: self.zone.clone(),
            celsius: Celsius::from_degrees(celsius),
            soon: Celsius::from_degrees(soon),
        }
    }
}

impl TemperatureTracker {
    /// Takes in the readings of one observation.
    pub(super) fn update(
        &mut self,
        at: TimeSpan,
        zones: &Result<Vec<ZoneReading>, BoardReadError>,
        throttle: f64,
    ) -> ZoneSummary {
        let zones = match zones {
            Ok(zones) if zones.is_empty() && self.zones.is_empty() => return ZoneSummary::NoZones,
            Ok(zones) if zones.is_empty() => {
                return ZoneSummary::Unreadable("all thermal zones are gone".to_owned());
            }
            Ok(zones) => zones,
            Err(unread) => return ZoneSummary::Unreadable(unread.to_string()),
        };
        let readable = zones.iter().filter_map(|zone| Some((&zone.name, degrees(zone)?)));
        let Some((zone, raw)) =
            readable.clone().max_by(|(_, one), (_, other)| one.total_cmp(other))
        else {
            return ZoneSummary::Unreadable(describe_unreadable(zones));
        };
        for known in self.zones.values_mut() {
            known.gone_since.get_or_insert(at);
        }
        for (name, last) in readable {
            let known =
                self.zones.entry(name.clone()).or_insert(KnownZone { last, gone_since: None });
            // Zones with the same name count as one: the hotter reading counts.
            let last = if known.gone_since.is_some() { last } else { known.last.max(last) };
            *known = KnownZone { last, gone_since: None };
        }
        let before = self.raw.replace(raw);
        self.smooth(at, raw);
        let missed = self.missed(at, throttle);
        let (smoothed, slope) = (self.smoothed, self.slope);
        ZoneSummary::Trend(TemperatureTrend {
            zone: zone.clone(),
            raw,
            before,
            smoothed,
            slope,
            missed,
        })
    }

    /// Forgets a rise, because restraints were tightened and the slope will change.
    pub(super) fn reset_rise(&mut self) {
        self.slope = self.slope.min(0.0);
    }

    fn smooth(&mut self, at: TimeSpan, raw: f64) {
        let Some(last) = self.at.replace(at) else {
            (self.smoothed, self.slope) = (raw, 0.0);
            return;
        };
        let elapsed = seconds_between(last, at);
        if elapsed <= 0.0 {
            return;
        }
        let before = self.smoothed;
        self.smoothed += (raw - before) * elapsed / (elapsed + SMOOTHING);
        let slope = (self.smoothed - before) / elapsed;
        self.slope += (slope - self.slope) * elapsed / (elapsed + SLOPE_SMOOTHING);
    }

    /// Returns the zones that are missed, and forgets those that were switched off.
    fn missed(&mut self, at: TimeSpan, throttle: f64) -> Option<String> {
        let cool = self.smoothed <= throttle - MISSED_BELOW;
        self.zones.retain(|_, known| match known.gone_since {
            None => true,
            Some(_) if known.last <= throttle - MISSED_BELOW => false,
            Some(since) => !(cool && seconds_between(since, at) >= GIVEN_UP_AFTER),
        });
        let gone = self.zones.iter().filter(|(_, known)| known.gone_since.is_some());
        let names: Vec<&str> = gone.map(|(name, _)| name.as_str()).collect();
        (!names.is_empty())
            .then(|| format!("{} was hot and cannot be read any more", names.join(", ")))
    }
}

/// Returns a plausible reading in degrees; other values are no temperatures, such as the -256 °C of a device
/// without power.
fn degrees(zone: &ZoneReading) -> Option<f64> {
    let degrees = zone.celsius.as_ref().ok()?.degrees();
    (-100.0..=200.0).contains(&degrees).then_some(degrees)
}

fn describe_unreadable(zones: &[ZoneReading]) -> String {
    let why = zones.iter().find_map(|zone| zone.celsius.as_ref().err());
    let why = why.map_or_else(|| "no value is a temperature".to_owned(), ToString::to_string);
    format!("none of {} thermal zones can be read: {why}", zones.len())
}

/// Returns the seconds from one time to a later one; 0 if it is not later.
pub(super) fn seconds_between(from: TimeSpan, to: TimeSpan) -> f64 {
    let micros = to.as_micros().saturating_sub(from.as_micros());
    TimeSpan::from_micros(micros).as_duration().as_secs_f64()
}
