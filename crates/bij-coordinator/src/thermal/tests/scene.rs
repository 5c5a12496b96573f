//! A ladder and the observations that it gets.

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, ExperimentId, Hertz, Percent, TimeSpan, Uptime};

use crate::thermal::{
    GpuClockReading, Ladder, ThermalAction, ThermalDecision, ThermalLoad, ThermalObservation,
    ThermalSettings,
};

/// A ladder with thresholds of 75 and 85 degrees that observes every five seconds.
pub(super) struct Scene {
    pub(super) ladder: Ladder,
    pub(super) loads: Vec<ThermalLoad>,
    pub(super) zones: Result<Vec<ZoneReading>, BoardReadError>,
    /// Rates to which the GPU's clock can be limited, and its limit.
    pub(super) rates: Vec<Hertz>,
    pub(super) bound: Option<Hertz>,
    now: Uptime,
}

pub(in crate::thermal) fn settings() -> ThermalSettings {
    let (throttle, critical) = (Celsius::new(75), Celsius::new(85));
    ThermalSettings::new(throttle, critical, TimeSpan::from_secs(5)).unwrap()
}

impl Scene {
    /// Creates a cool board on which these experiments run.
    pub(in crate::thermal) fn new(loads: impl IntoIterator<Item = ThermalLoad>) -> Self {
        let mut scene = Self {
            ladder: Ladder::new(settings()),
            loads: loads.into_iter().collect(),
            zones: Ok(Vec::new()),
            rates: Vec::new(),
            bound: None,
            now: Uptime::BOOT,
        };
        scene.set(40.0);
        assert_eq!(scene.observe(), []);
        scene
    }

    /// Sets the temperature of the hottest zone.
    pub(in crate::thermal) fn set(&mut self, degrees: f64) {
        self.zones = Ok(vec![zone("cpu", degrees - 2.0), zone("tj", degrees)]);
    }

    /// Observes the board, a second after the last observation.
    pub(in crate::thermal) fn observe(&mut self) -> Vec<ThermalDecision> {
        self.now = self.now + TimeSpan::from_secs(1);
        let (uptime, processors) = (self.now, Percent::new(1200));
        let Self { ladder, zones, loads, rates, bound, .. } = self;
        let gpu = (!rates.is_empty()).then_some(GpuClockReading { rates, bound: *bound });
        let said = ladder.observe(&ThermalObservation { uptime, zones, loads, processors, gpu });
        for one in &said {
            match &one.action {
                ThermalAction::CapGpu { to } => *bound = Some(*to),
                ThermalAction::UncapGpu => *bound = None,
                _ => {}
            }
        }
        said
    }

    /// Reports that an action could not be carried out.
    pub(in crate::thermal) fn fail(&mut self, action: &ThermalAction) {
        let ThermalAction::Restrain { experiment, change } = action else { panic!("{action}") };
        self.ladder.failed(experiment, *change);
    }

    /// Observes for some seconds; returns the actions.
    pub(in crate::thermal) fn pass(&mut self, seconds: u32) -> Vec<ThermalAction> {
        let said = (0..seconds).flat_map(|_| self.observe());
        said.map(|one| one.action).collect()
    }

    /// Stays at a temperature for some seconds; returns the actions.
    pub(in crate::thermal) fn stay_at(&mut self, degrees: f64, seconds: u32) -> Vec<ThermalAction> {
        self.set(degrees);
        self.pass(seconds)
    }

    /// Warms up so slowly that the ladder believes every reading; returns the actions.
    pub(in crate::thermal) fn warm_up_to(&mut self, degrees: f64) -> Vec<ThermalAction> {
        let steps = 20;
        (1..=steps)
            .flat_map(|step| {
                let share = f64::from(step) / f64::from(steps);
                self.stay_at(40.0 + (degrees - 40.0) * share, 20)
            })
            .collect()
    }
}

pub(in crate::thermal) fn zone(name: &str, degrees: f64) -> ZoneReading {
    ZoneReading { name: name.to_owned(), celsius: Ok(Celsius::from_degrees(degrees)) }
}

pub(in crate::thermal) fn off(name: &str) -> ZoneReading {
    let why = BoardReadError { what: name.to_owned(), why: "no data available".to_owned() };
    ZoneReading { name: name.to_owned(), celsius: Err(why) }
}

pub(in crate::thermal) fn id(name: &str) -> ExperimentId {
    ExperimentId::new(name).unwrap()
}

/// Returns an experiment that can be restrained in every way.
pub(in crate::thermal) fn load(name: &str, priority: i32, cpu: u32) -> ThermalLoad {
    ThermalLoad {
        experiment: id(name),
        priority,
        since: Uptime::BOOT,
        cpu: Percent::new(cpu),
        cpu_time: None,
        can_cap: true,
        can_cap_gpu: false,
        can_freeze: true,
        max_celsius: None,
    }
}
