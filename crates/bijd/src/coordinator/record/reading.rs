//! Readings of the board, and those of the last hour.

use std::collections::VecDeque;
use std::sync::Arc;

use bij_coordinator::Now;
use bij_core::request::{RecordedSample, ZoneSample};
use bij_core::{Bytes, Celsius, Hottest, Milliwatts, Percent, TimeSpan, Uptime};
use bij_jetson::{QuickSample, WhyNot, Zone};

/// One reading of the board. Values that the board did not report are `None`, without the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardReading {
    /// Temperature of each thermal zone that could be read, by name.
    pub zones: Box<[(Arc<str>, Celsius)]>,
    /// Power of the whole board.
    pub power: Option<Milliwatts>,
    /// Load of the GPU.
    pub gpu_load: Option<Percent>,
    /// Memory available without swapping.
    pub memory_available: Option<Bytes>,
    /// Whether any processor was throttled for heat.
    pub throttled: Option<bool>,
    /// Over-current events since the boot.
    pub over_current: Option<u64>,
}

impl BoardReading {
    /// Returns the reading without the reasons of missing values. Names are shared with the reading before, so that an
    /// hour of readings stores them once.
    pub fn new(sample: QuickSample, before: Option<&Self>) -> Self {
        let known = |name: String| {
            let same =
                before.and_then(|before| before.zones.iter().find(|(known, _)| **known == *name));
            same.map_or_else(|| Arc::from(name), |(known, _)| Arc::clone(known))
        };
        let readings = sample.zones.unwrap_or_default();
        // Collecting in place would keep the capacity of the larger elements.
        let mut zones =
            Vec::with_capacity(readings.iter().filter(|zone| zone.celsius.is_ok()).count());
        let readable = readings
            .into_iter()
            .filter_map(|Zone { name, celsius, .. }| Some((known(name), celsius.ok()?)));
        zones.extend(readable);
        let gpu_load = match sample.gpu.and_then(|gpu| gpu.load) {
            Ok(load) => Some(load),
            // A GPU without power has no load.
            Err(WhyNot::Off) => Some(Percent::from_permyriad(0)),
            Err(_) => None,
        };
        Self {
            zones: zones.into_boxed_slice(),
            power: sample.total.ok(),
            gpu_load,
            memory_available: sample.memory_available.ok(),
            throttled: sample.throttled.ok().map(|names| !names.is_empty()),
            over_current: sample.over_current.ok(),
        }
    }

    pub(super) fn hottest(&self) -> Option<Hottest> {
        let (zone, celsius) = self.zones.iter().max_by_key(|(_, celsius)| *celsius)?;
        Some(Hottest { zone: zone.to_string(), celsius: *celsius })
    }
}

/// A reading of the board with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedReading {
    /// The time of the reading, by both clocks.
    pub now: Now,
    /// The values of the reading.
    pub reading: BoardReading,
}

impl From<&TimedReading> for RecordedSample {
    fn from(TimedReading { now, reading }: &TimedReading) -> Self {
        let BoardReading { zones, power, gpu_load, memory_available, throttled, over_current } =
            reading;
        let zone = |(name, celsius): &(Arc<str>, Celsius)| ZoneSample {
            name: name.to_string(),
            celsius: celsius.degrees(),
        };
        Self {
            at: now.at,
            uptime_usec: now.uptime.as_micros(),
            zones: zones.iter().map(zone).collect(),
            total_milliwatts: power.map(Milliwatts::get),
            gpu_load_percent: gpu_load.map(Percent::percents),
            memory_available: *memory_available,
            throttled: *throttled,
            over_current_events: *over_current,
        }
    }
}

/// The readings of the last hour in which the board was read, oldest first.
#[derive(Debug, Default)]
pub struct SampleRing {
    readings: VecDeque<TimedReading>,
}

impl SampleRing {
    /// Age of the oldest reading.
    const LENGTH: TimeSpan = TimeSpan::from_secs(3600);
    /// Largest number of readings: one a second, and some more for attempts that begin or end in between.
    const MAX_LEN: usize = 4096;

    /// Adds a reading, unless it is not later than the newest.
    pub fn push(&mut self, reading: TimedReading) {
        if self.newest().is_some_and(|newest| reading.now.uptime <= newest.now.uptime) {
            return;
        }
        let now = reading.now.uptime;
        let is_old = |reading: &TimedReading| now - reading.now.uptime > Self::LENGTH;
        while self.readings.len() >= Self::MAX_LEN || self.readings.front().is_some_and(is_old) {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    /// Returns the newest reading.
    pub fn newest(&self) -> Option<&TimedReading> {
        self.readings.back()
    }

    /// Returns the readings after this uptime, oldest first.
    pub fn after(&self, uptime: Uptime) -> impl Iterator<Item = &TimedReading> {
        let first = self.readings.partition_point(|reading| reading.now.uptime <= uptime);
        self.readings.range(first..)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bij_jetson::{CapturedTree, Hardware};

    use super::*;

    #[test]
    fn a_reading_leaves_out_unreadable_values() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
        let tree = CapturedTree::load(trees.join("agx-orin-jp6")).unwrap();
        let machine = Hardware::new(Arc::new(tree));
        let first = BoardReading::new(machine.quick_sample(), None);
        let names: Vec<&str> = first.zones.iter().map(|(name, _)| &**name).collect();
        // The GPU and the vision units are powered off.
        assert_eq!(names, ["cpu", "soc0", "soc1", "soc2", "tboard", "tdiode", "tj"]);
        assert_eq!(first.power, Some(Milliwatts::new(8918)));
        assert_eq!((first.throttled, first.over_current), (Some(false), Some(0)));
        assert_eq!(first.hottest().unwrap().celsius, Celsius::from_millis(52_875));
        let second = BoardReading::new(machine.quick_sample(), Some(&first));
        assert_eq!(second, first);
        let shared = |(a, b): (&(Arc<str>, _), &(Arc<str>, _))| Arc::ptr_eq(&a.0, &b.0);
        assert!(first.zones.iter().zip(&second.zones).all(shared), "the names are shared");
    }
}
