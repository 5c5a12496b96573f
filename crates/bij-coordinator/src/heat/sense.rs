//! How hot it is, and where that leads: readings smoothed, their slope, and what became unreadable.

use std::collections::BTreeMap;

use bij_core::port::{Unread, ZoneReading};
use bij_core::{Celsius, TimeSpan};

use super::step::Because;

/// Readings are smoothed over so many seconds: sensors have a noise of half a degree, and a die needs
/// about as long to follow its load.
const SMOOTHING: f64 = 8.0;
/// Slopes are smoothed over so many seconds.
const SLOPE_SMOOTHING: f64 = 20.0;
/// The ladder acts on what will be in so many seconds at this slope.
pub(super) const LEAD: f64 = 20.0;
/// A zone that was no further than this below the threshold when it was last read, and cannot be read
/// any more, is missed; one that was cooler is taken for switched off with its unit.
const MISSED_BELOW: f64 = 10.0;
/// What has been missed for so many seconds while the rest is cool was switched off after all.
const GIVEN_UP_AFTER: f64 = 300.0;

/// What has been read so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sense {
    at: Option<TimeSpan>,
    /// The hottest reading of the last look that had one.
    raw: Option<f64>,
    smoothed: f64,
    slope: f64,
    zones: BTreeMap<String, Known>,
}

/// A zone that could be read once.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    last: f64,
    gone_since: Option<TimeSpan>,
}

/// What one look shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sight {
    /// So hot it is.
    Heat(Heat),
    /// The machine has no thermal zones and never had.
    NoZones,
    /// Nothing can be read; why, as a fragment.
    Blind(String),
}

/// How hot it is, in degrees.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heat {
    zone: String,
    /// The hottest reading as it is.
    pub(super) raw: f64,
    /// The one of the look before.
    pub(super) before: Option<f64>,
    /// Smoothed over some looks.
    pub(super) smoothed: f64,
    /// Degrees a second.
    pub(super) slope: f64,
    /// Zones that were hot and cannot be read any more, as a fragment.
    pub(super) missed: Option<String>,
}

impl Heat {
    /// How hot it will be in so many seconds if this goes on; never less than it is.
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

impl Sense {
    /// Takes in one look.
    pub(super) fn look(
        &mut self,
        at: TimeSpan,
        zones: &Result<Vec<ZoneReading>, Unread>,
        throttle: f64,
    ) -> Sight {
        let zones = match zones {
            Ok(zones) if zones.is_empty() && self.zones.is_empty() => return Sight::NoZones,
            Ok(zones) if zones.is_empty() => {
                return Sight::Blind("all thermal zones are gone".to_owned());
            }
            Ok(zones) => zones,
            Err(unread) => return Sight::Blind(unread.to_string()),
        };
        let readable = zones.iter().filter_map(|zone| Some((&zone.name, degrees(zone)?)));
        let Some((zone, raw)) =
            readable.clone().max_by(|(_, one), (_, other)| one.total_cmp(other))
        else {
            return Sight::Blind(none_of(zones));
        };
        for known in self.zones.values_mut() {
            known.gone_since.get_or_insert(at);
        }
        for (name, last) in readable {
            let known = self.zones.entry(name.clone()).or_insert(Known { last, gone_since: None });
            // Two zones of one name are one: the hotter counts.
            let last = if known.gone_since.is_some() { last } else { known.last.max(last) };
            *known = Known { last, gone_since: None };
        }
        let before = self.raw.replace(raw);
        self.smooth(at, raw);
        let missed = self.missed(at, throttle);
        let (smoothed, slope) = (self.smoothed, self.slope);
        Sight::Heat(Heat { zone: zone.clone(), raw, before, smoothed, slope, missed })
    }

    /// Forgets how it came here: something was done about it, and the slope will be another one.
    pub(super) fn turn_over(&mut self) {
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

    /// The zones that are missed; those that were switched off are forgotten.
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

/// What a sensor can tell of a machine that is there to ask; other numbers are no temperatures, such
/// as the -256 °C of a unit without power.
fn degrees(zone: &ZoneReading) -> Option<f64> {
    let degrees = zone.celsius.as_ref().ok()?.degrees();
    (-100.0..=200.0).contains(&degrees).then_some(degrees)
}

fn none_of(zones: &[ZoneReading]) -> String {
    let why = zones.iter().find_map(|zone| zone.celsius.as_ref().err());
    let why = why.map_or_else(|| "no value is a temperature".to_owned(), ToString::to_string);
    format!("none of {} thermal zones can be read: {why}", zones.len())
}

/// Seconds from one moment to a later one; 0 if it is none.
pub(super) fn seconds_between(from: TimeSpan, to: TimeSpan) -> f64 {
    let micros = to.as_micros().saturating_sub(from.as_micros());
    TimeSpan::from_micros(micros).as_duration().as_secs_f64()
}
