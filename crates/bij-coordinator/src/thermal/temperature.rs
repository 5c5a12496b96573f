//! Temperature of the board: smoothed readings, their slope, and zones that became unreadable.

use std::collections::BTreeMap;

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{TimeSpan, Uptime};

use super::decision::ThermalReason;
use super::quantity::{Degrees, DegreesPerSecond, Temperature, smoothing_weight};

/// Time constant of the smoothing of readings: sensors have a noise of half a degree, and a die needs about as long to
/// follow its load.
const SMOOTHING: TimeSpan = TimeSpan::from_secs(8);
/// Time constant of the smoothing of slopes.
const SLOPE_SMOOTHING: TimeSpan = TimeSpan::from_secs(20);
/// How far the ladder extrapolates the temperature.
pub(super) const LEAD: TimeSpan = TimeSpan::from_secs(20);
/// Distance below the threshold: a zone that was last read hotter than this and becomes unreadable is missed; a cooler
/// one counts as switched off with its device.
const MISSED_BELOW: Degrees = Degrees::new(10.0);
/// Time after which a missed zone counts as switched off, if the others are cool.
const GIVEN_UP_AFTER: TimeSpan = TimeSpan::from_secs(300);
/// Plausible readings; other values are no temperatures, such as the -256 °C of a device without power.
const PLAUSIBLE: std::ops::RangeInclusive<Temperature> =
    Temperature::new(-100.0)..=Temperature::new(200.0);

/// Tracks temperatures from reading to reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TemperatureTracker {
    at: Option<Uptime>,
    /// Hottest reading of the last observation that had one.
    raw: Option<Temperature>,
    smoothed: Temperature,
    slope: DegreesPerSecond,
    zones: BTreeMap<String, KnownZone>,
}

/// A zone that has been read before.
#[derive(Clone, Debug, PartialEq)]
struct KnownZone {
    last: Temperature,
    gone_since: Option<Uptime>,
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

/// Temperature of the hottest zone and its trend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TemperatureTrend {
    zone: String,
    /// Hottest reading, not smoothed.
    pub(super) raw: Temperature,
    /// Hottest reading of the observation before.
    pub(super) before: Option<Temperature>,
    /// Smoothed hottest reading.
    pub(super) smoothed: Temperature,
    /// Slope of the smoothed reading.
    slope: DegreesPerSecond,
    /// Zones that were hot and have become unreadable, as a fragment.
    pub(super) missed: Option<String>,
}

impl TemperatureTrend {
    /// Returns the smoothed temperature after a time if it keeps rising; never less than the present one.
    pub(super) fn after(&self, time: TimeSpan) -> Temperature {
        self.smoothed + self.slope.rise() * time
    }

    /// Returns the temperature that is expected [soon](LEAD); never less than the present reading.
    pub(super) fn soon(&self) -> Temperature {
        self.after(LEAD).max(self.raw)
    }

    pub(super) fn reason(&self) -> ThermalReason {
        ThermalReason::Zone {
            zone: self.zone.clone(),
            celsius: self.raw.celsius(),
            soon: self.soon().celsius(),
        }
    }
}

impl TemperatureTracker {
    /// Takes in the readings of one observation.
    pub(super) fn update(
        &mut self,
        at: Uptime,
        zones: &Result<Vec<ZoneReading>, BoardReadError>,
        throttle: Temperature,
    ) -> ZoneSummary {
        let zones = match zones {
            Ok(zones) if zones.is_empty() && self.zones.is_empty() => return ZoneSummary::NoZones,
            Ok(zones) if zones.is_empty() => {
                return ZoneSummary::Unreadable("all thermal zones are gone".to_owned());
            }
            Ok(zones) => zones,
            Err(unread) => return ZoneSummary::Unreadable(unread.to_string()),
        };
        let readable = zones.iter().filter_map(|zone| Some((&zone.name, plausible(zone)?)));
        let Some((zone, raw)) =
            readable.clone().max_by(|(_, one), (_, other)| one.total_cmp(*other))
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
        let (zone, smoothed, slope) = (zone.clone(), self.smoothed, self.slope);
        ZoneSummary::Trend(TemperatureTrend { zone, raw, before, smoothed, slope, missed })
    }

    /// Forgets a rise, because restraints were tightened and the slope will change.
    pub(super) fn reset_rise(&mut self) {
        self.slope = self.slope.fall();
    }

    fn smooth(&mut self, at: Uptime, raw: Temperature) {
        let Some(last) = self.at.replace(at) else {
            (self.smoothed, self.slope) = (raw, DegreesPerSecond::default());
            return;
        };
        let elapsed = at - last;
        if elapsed.is_zero() {
            return;
        }
        let before = self.smoothed;
        self.smoothed = before + (raw - before) * smoothing_weight(elapsed, SMOOTHING);
        let slope = (self.smoothed - before) / elapsed;
        self.slope = self.slope + (slope - self.slope) * smoothing_weight(elapsed, SLOPE_SMOOTHING);
    }

    /// Returns the zones that are missed, and forgets those that were switched off.
    fn missed(&mut self, at: Uptime, throttle: Temperature) -> Option<String> {
        let cool = self.smoothed <= throttle - MISSED_BELOW;
        self.zones.retain(|_, known| match known.gone_since {
            None => true,
            Some(_) if known.last <= throttle - MISSED_BELOW => false,
            Some(since) => !(cool && at - since >= GIVEN_UP_AFTER),
        });
        let gone = self.zones.iter().filter(|(_, known)| known.gone_since.is_some());
        let names: Vec<&str> = gone.map(|(name, _)| name.as_str()).collect();
        (!names.is_empty())
            .then(|| format!("{} was hot and cannot be read any more", names.join(", ")))
    }
}

/// Returns a reading if it is plausible.
fn plausible(zone: &ZoneReading) -> Option<Temperature> {
    let reading = Temperature::from(*zone.celsius.as_ref().ok()?);
    PLAUSIBLE.contains(&reading).then_some(reading)
}

fn describe_unreadable(zones: &[ZoneReading]) -> String {
    let why = zones.iter().find_map(|zone| zone.celsius.as_ref().err());
    let why = why.map_or_else(|| "no value is a temperature".to_owned(), ToString::to_string);
    format!("none of {} thermal zones can be read: {why}", zones.len())
}
