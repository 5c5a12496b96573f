//! Slow enough to watch.

use std::env;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The least time that one step takes, so that people can watch an example.
///
/// `EXAMPLE_PACE_MS` in the environment sets it, in milliseconds; 0 is as fast as it goes. It
/// changes when something happens, never what.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    least: Duration,
    began: Instant,
}

impl Pace {
    /// `usual` unless the environment says otherwise; the first step begins now.
    pub fn new(usual: Duration) -> Self {
        let chosen = env::var("EXAMPLE_PACE_MS").ok().and_then(|text| text.parse().ok());
        Self { least: chosen.map_or(usual, Duration::from_millis), began: Instant::now() }
    }

    /// Ends a step: waits for what is left of its time. The next one begins then.
    pub fn rest(&mut self) {
        sleep(self.least.saturating_sub(self.began.elapsed()));
        self.began = Instant::now();
    }
}
