//! The readings of the last hour.

use std::collections::VecDeque;
use std::sync::Arc;

use bij_coordinator::Now;
use bij_core::request::{RecordedSample, ZoneSample};
use bij_core::{Celsius, Milliwatts, Percent, TimeSpan, Uptime};

use super::BoardReading;

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
