//! The board and its experiments in virtual time.

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, ExperimentId, Hertz, Percent, TimeSpan, Uptime};

use super::network::{FanModel, ThermalNetwork};
use super::workload::{JobPhase, ModelJob, START_SECONDS, STOP_SECONDS, Workload};
use crate::thermal::decision::ThermalAction;
use crate::thermal::load::ThermalLoad;
use crate::thermal::restraint::{Restraint, RestraintChange};

/// All processors of the board, in percent of one.
pub const PROCESSORS: Percent = Percent::new(1200);
const ALL: f64 = 1200.0;
/// Heat of the GPU at its highest clock, in percent of one processor: 40 W.
pub(super) const GPU: f64 = 900.0;
/// The clock rates of the GPU: those of an AGX Orin.
pub const GPU_RATES: [Hertz; 11] = [
    Hertz::new(306_000_000),
    Hertz::new(408_000_000),
    Hertz::new(510_000_000),
    Hertz::new(612_000_000),
    Hertz::new(714_000_000),
    Hertz::new(816_000_000),
    Hertz::new(918_000_000),
    Hertz::new(1_020_000_000),
    Hertz::new(1_122_000_000),
    Hertz::new(1_224_000_000),
    Hertz::new(1_300_500_000),
];
/// Length of a time step: in seconds, and in microseconds.
const STEP: f64 = 0.25;
const STEP_MICROS: u64 = 250_000;

/// A board that grows hot under load.
#[derive(Clone, Debug)]
pub struct BoardModel {
    fan: FanModel,
    network: ThermalNetwork,
    slots: usize,
    jobs: Vec<ModelJob>,
    /// The limit of the GPU's clock.
    gpu: Option<Hertz>,
    /// A cap on the sum of all experiments, which no real policy has: the ideal to compare with.
    ideal: Option<f64>,
    /// Seconds of a start, in which no work is done.
    starting: f64,
    steps: u32,
    work: f64,
    hottest: f64,
    noise: fastrand::Rng,
}

impl BoardModel {
    /// Returns a board that was idle and has just started all experiments of the load.
    pub fn new(fan: FanModel, workload: Workload) -> Self {
        let mut board = Self {
            fan,
            network: ThermalNetwork::idle(fan),
            slots: workload.slots(),
            jobs: workload.jobs(),
            gpu: None,
            ideal: None,
            starting: START_SECONDS,
            steps: 0,
            work: 0.0,
            hottest: f64::NEG_INFINITY,
            noise: fastrand::Rng::with_seed(7),
        };
        while board.start_next() {}
        board
    }

    /// Caps the sum of all experiments, at once and exactly, at the constant load that holds this
    /// temperature. No policy is expected to do better.
    pub fn hold_ideally(&mut self, celsius: Celsius) {
        self.ideal = Some(ThermalNetwork::holding(self.fan, celsius.degrees()) * ALL);
    }

    /// Makes starts take no time, for an ideal to compare with.
    #[must_use]
    pub fn with_free_starts(mut self) -> Self {
        self.starting = 0.0;
        self
    }

    /// Lets this time pass.
    pub fn pass(&mut self, time: TimeSpan) {
        let until = self.uptime() + time;
        while self.uptime() < until {
            self.step();
        }
    }

    /// Returns the time since the beginning.
    pub fn uptime(&self) -> Uptime {
        Uptime::from_micros(u64::from(self.steps) * STEP_MICROS)
    }

    /// Sets the temperature of die and heat sink, which a real board cannot reach so fast.
    pub fn heat_up_to(&mut self, celsius: Celsius) {
        (self.network.die, self.network.sink) = (celsius.degrees(), celsius.degrees());
    }

    /// Returns the temperature of the die.
    pub fn die(&self) -> Celsius {
        Celsius::from_degrees(self.network.die)
    }

    /// Returns the work done so far, as time of one processor.
    pub fn work(&self) -> TimeSpan {
        span(self.work)
    }

    /// Returns the highest temperature of the die so far.
    pub fn hottest(&self) -> Celsius {
        Celsius::from_degrees(self.hottest)
    }

    /// Returns the sensors' readings, with noise, and with the zone of a unit that is switched off.
    pub fn zones(&mut self) -> Vec<ZoneReading> {
        let mut noisy = |celsius: f64| celsius + (self.noise.f64() - 0.5) / 2.0;
        let (tj, cpu, board) =
            (noisy(self.network.die), noisy(self.network.die - 1.5), noisy(self.network.sink));
        let zone = |name: &str, celsius: f64| ZoneReading {
            name: name.to_owned(),
            celsius: Ok(Celsius::from_degrees(celsius)),
        };
        let off = BoardReadError { what: "cv0".to_owned(), why: "its unit is off".to_owned() };
        let off = ZoneReading { name: "cv0".to_owned(), celsius: Err(off) };
        vec![zone("cpu", cpu), off, zone("tboard", board), zone("tj", tj)]
    }

    /// Returns the running experiments, which can be restrained in every way.
    pub fn loads(&self) -> Vec<ThermalLoad> {
        let up = self.jobs.iter().filter(|job| job.is_up());
        up.map(thermal_load).collect()
    }

    /// Returns the restraint of an experiment.
    pub fn restraint(&self, experiment: &ExperimentId) -> Restraint {
        let job = self.jobs.iter().find(|job| job.experiment == *experiment);
        job.map(|job| job.restraint).unwrap_or_default()
    }

    /// Returns the limit of the GPU's clock that is in force.
    pub fn gpu_bound(&self) -> Option<Hertz> {
        self.gpu
    }

    /// Carries out an action of the ladder. Starts are left to the caller, which asks the ladder.
    pub fn carry_out(&mut self, action: &ThermalAction) {
        match action {
            ThermalAction::Hold | ThermalAction::Admit => {}
            ThermalAction::CapGpu { to } => self.gpu = Some(*to),
            ThermalAction::UncapGpu => self.gpu = None,
            ThermalAction::Restrain { experiment, change } => self.restrain(experiment, *change),
        }
    }

    /// Changes the restraint of an experiment, if it runs.
    pub fn restrain(&mut self, experiment: &ExperimentId, change: RestraintChange) {
        if let RestraintChange::Stop(_) = change {
            self.stop(experiment);
        } else if let Some(job) = self.up(experiment) {
            job.restraint.apply(change);
        }
    }

    /// Stops an experiment, if it runs; afterwards it waits for its start.
    pub fn stop(&mut self, experiment: &ExperimentId) {
        if let Some(job) = self.up(experiment)
            && !matches!(job.phase, JobPhase::Stopping(_))
        {
            job.phase = JobPhase::Stopping(STOP_SECONDS);
        }
    }

    /// Returns the next waiting experiment, as if it ran; `None` if there is none, or no free slot.
    pub fn next(&self) -> Option<ThermalLoad> {
        let up = self.jobs.iter().filter(|job| job.is_up()).count();
        let next = self.jobs.iter().find(|job| job.phase == JobPhase::Waiting)?;
        (up < self.slots).then(|| thermal_load(next))
    }

    /// Starts [the next experiment](Self::next). Returns whether there was one.
    pub fn start_next(&mut self) -> bool {
        if self.next().is_none() {
            return false;
        }
        let since = self.uptime();
        let next = self.jobs.iter_mut().find(|job| job.phase == JobPhase::Waiting);
        next.is_some_and(|job| {
            (job.phase, job.since, job.cpu_time) = (JobPhase::Starting(self.starting), since, 0.0);
            true
        })
    }

    fn up(&mut self, experiment: &ExperimentId) -> Option<&mut ModelJob> {
        self.jobs.iter_mut().find(|job| job.experiment == *experiment && job.is_up())
    }

    fn step(&mut self) {
        let now = (self.uptime() - Uptime::BOOT).as_secs_f64();
        let mut paces: Vec<f64> = self.jobs.iter().map(|job| job.pace(now)).collect();
        // Experiments share the GPU and the processors. Work is proportional to heat: that a lower
        // clock is more efficient is left out.
        let clock = self.gpu.map_or(1.0, |bound| rate(bound) / rate(GPU_RATES[10]));
        self.share_out(&mut paces, |job| job.gpu, GPU * clock);
        self.share_out(&mut paces, |job| job.uses, ALL);
        self.share_out(&mut paces, |job| job.uses + job.gpu, self.ideal.unwrap_or(f64::INFINITY));
        let mut heat = 0.0;
        for (job, pace) in self.jobs.iter_mut().zip(paces) {
            let demand = (job.uses + job.gpu) * pace;
            heat += demand;
            job.cpu_time += job.uses * pace / 100.0 * STEP;
            self.work += job.pass(STEP, demand);
        }
        self.network.pass(STEP, heat / ALL);
        self.hottest = self.hottest.max(self.network.die);
        self.steps += 1;
        while self.ideal.is_some() && self.start_next() {}
    }

    /// Slows down all users of a resource so that the sum of their demand fits.
    fn share_out(&self, paces: &mut [f64], demand: impl Fn(&ModelJob) -> f64, most: f64) {
        let wanted: f64 = self.jobs.iter().zip(&*paces).map(|(job, pace)| demand(job) * pace).sum();
        if wanted > most {
            for (job, pace) in self.jobs.iter().zip(paces) {
                if demand(job) > 0.0 {
                    *pace *= most / wanted;
                }
            }
        }
    }
}

fn rate(hertz: Hertz) -> f64 {
    f64::from(u32::try_from(hertz.get() / 1000).unwrap_or(u32::MAX))
}

fn thermal_load(job: &ModelJob) -> ThermalLoad {
    ThermalLoad {
        experiment: job.experiment.clone(),
        priority: job.priority,
        since: job.since,
        cpu: job.cpu,
        cpu_time: Some(span(job.cpu_time)),
        can_cap: true,
        can_cap_gpu: job.gpu > 0.0,
        can_freeze: true,
        max_celsius: None,
    }
}

fn span(seconds: f64) -> TimeSpan {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a simulated time")]
    TimeSpan::from_micros((seconds * 1e6) as u64)
}

#[cfg(test)]
mod tests;
