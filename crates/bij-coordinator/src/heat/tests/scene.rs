//! A ladder and what it is shown, look by look.

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, ExperimentId, Hertz, Percent, TimeSpan};

use crate::heat::{
    GpuClockState, HeatMove, HeatObservation, HeatSettings, HeatStep, Ladder, Living,
};

/// A ladder of 75 and 85 degrees that looks every five seconds.
pub(super) struct Scene {
    pub(super) ladder: Ladder,
    pub(super) living: Vec<Living>,
    pub(super) zones: Result<Vec<ZoneReading>, BoardReadError>,
    /// What the GPU's clock may be bounded to, and what it is.
    pub(super) rates: Vec<Hertz>,
    pub(super) bound: Option<Hertz>,
    now: TimeSpan,
}

pub(in crate::heat) fn settings() -> HeatSettings {
    let (throttle, critical) = (Celsius::new(75), Celsius::new(85));
    HeatSettings::new(throttle, critical, TimeSpan::from_secs(5)).unwrap()
}

impl Scene {
    /// A cool board on which these live.
    pub(in crate::heat) fn new(living: impl IntoIterator<Item = Living>) -> Self {
        let mut scene = Self {
            ladder: Ladder::new(settings()),
            living: living.into_iter().collect(),
            zones: Ok(Vec::new()),
            rates: Vec::new(),
            bound: None,
            now: TimeSpan::default(),
        };
        scene.set(40.0);
        assert_eq!(scene.observe(), []);
        scene
    }

    /// The hottest zone is as hot as this.
    pub(in crate::heat) fn set(&mut self, degrees: f64) {
        self.zones = Ok(vec![zone("cpu", degrees - 2.0), zone("tj", degrees)]);
    }

    /// One look, a second after the last.
    pub(in crate::heat) fn observe(&mut self) -> Vec<HeatMove> {
        self.now = TimeSpan::from_micros(self.now.as_micros() + 1_000_000);
        let (uptime, processors) = (self.now, Percent::new(1200));
        let Self { ladder, zones, living, rates, bound, .. } = self;
        let gpu = (!rates.is_empty()).then_some(GpuClockState { rates, bound: *bound });
        let said = ladder.observe(&HeatObservation { uptime, zones, living, processors, gpu });
        for one in &said {
            match &one.step {
                HeatStep::CapGpu { to } => *bound = Some(*to),
                HeatStep::UncapGpu => *bound = None,
                _ => {}
            }
        }
        said
    }

    /// Looks for so many seconds; gives what is said.
    pub(in crate::heat) fn pass(&mut self, seconds: u32) -> Vec<HeatStep> {
        let said = (0..seconds).flat_map(|_| self.observe());
        said.map(|one| one.step).collect()
    }

    /// As hot as this for so many seconds.
    pub(in crate::heat) fn stay_at(&mut self, degrees: f64, seconds: u32) -> Vec<HeatStep> {
        self.set(degrees);
        self.pass(seconds)
    }

    /// It grows hot slowly enough that every reading is believed.
    pub(in crate::heat) fn warm_up_to(&mut self, degrees: f64) -> Vec<HeatStep> {
        let steps = 20;
        (1..=steps)
            .flat_map(|step| {
                let share = f64::from(step) / f64::from(steps);
                self.stay_at(40.0 + (degrees - 40.0) * share, 20)
            })
            .collect()
    }
}

pub(in crate::heat) fn zone(name: &str, degrees: f64) -> ZoneReading {
    ZoneReading { name: name.to_owned(), celsius: Ok(Celsius::from_degrees(degrees)) }
}

pub(in crate::heat) fn off(name: &str) -> ZoneReading {
    let why = BoardReadError { what: name.to_owned(), why: "no data available".to_owned() };
    ZoneReading { name: name.to_owned(), celsius: Err(why) }
}

pub(in crate::heat) fn id(name: &str) -> ExperimentId {
    ExperimentId::new(name).unwrap()
}

/// One that can be held back in every way.
pub(in crate::heat) fn living(name: &str, priority: i32, cpu: u32) -> Living {
    Living {
        experiment: id(name),
        priority,
        since: TimeSpan::default(),
        cpu: Percent::new(cpu),
        cpu_time: None,
        can_cap: true,
        can_cap_gpu: false,
        can_freeze: true,
        max_celsius: None,
    }
}
