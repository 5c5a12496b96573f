//! The board with what runs on it, as virtual time passes.

use bij_core::port::{Unread, ZoneReading};
use bij_core::{Celsius, ExperimentId, Haste, HeatStep, Hertz, Percent, TimeSpan};

use super::job::{Hand, Job, LEAVING, Life, STARTING, SimLiving};
use super::network::Network;
use super::{Fan, Load};

/// All processors of the board, in percent of one.
pub const PROCESSORS: Percent = Percent::new(1200);
const ALL: f64 = 1200.0;
/// The heat of the GPU at its full clock, in that of so many percent of a processor: 40 W.
pub(super) const GPU: f64 = 900.0;
/// The rates of its clock: an AGX Orin's.
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
/// Time passes in steps of so many seconds.
const STEP: f64 = 0.25;

/// A board that grows hot under load.
#[derive(Clone, Debug)]
pub struct HeatWorld {
    fan: Fan,
    network: Network,
    slots: usize,
    jobs: Vec<Job>,
    /// A bound on the GPU's clock.
    gpu: Option<Hertz>,
    /// A bound on what all take together; what a policy cannot do, but the best one would.
    ideal: Option<f64>,
    /// How long a start takes in which no work is done.
    starting: f64,
    steps: u32,
    work: f64,
    hottest: f64,
    noise: fastrand::Rng,
}

/// How a world stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The die, in degrees.
    pub die: f64,
    /// Work done so far, in seconds of one processor.
    pub work: f64,
}

impl HeatWorld {
    /// A board that has stood idle for long, and everything is started.
    pub fn new(fan: Fan, load: Load) -> Self {
        let mut world = Self {
            fan,
            network: Network::idle(fan),
            slots: load.slots(),
            jobs: load.jobs(),
            gpu: None,
            ideal: None,
            starting: STARTING,
            steps: 0,
            work: 0.0,
            hottest: f64::NEG_INFINITY,
            noise: fastrand::Rng::with_seed(7),
        };
        while world.start_next() {}
        world
    }

    /// Bounds what all take together, at every moment and without any lag, to the constant load that
    /// just holds this temperature: what no policy is expected to do better.
    pub fn hold_ideally(&mut self, celsius: Celsius) {
        self.ideal = Some(Network::holding(self.fan, celsius.degrees()) * ALL);
    }

    /// Has starts cost nothing, as they do nowhere.
    #[must_use]
    pub fn with_free_starts(mut self) -> Self {
        self.starting = 0.0;
        self
    }

    /// Lets so many seconds pass.
    pub fn pass(&mut self, seconds: f64) {
        let until = self.now() + seconds;
        while self.now() < until {
            self.step();
        }
    }

    /// Seconds since the beginning.
    pub fn now(&self) -> f64 {
        f64::from(self.steps) * STEP
    }

    /// The same as a span.
    pub fn uptime(&self) -> TimeSpan {
        span(self.now())
    }

    /// Has the die and the heat sink be this hot at once, as no board ever is by itself.
    pub fn heat_up_to(&mut self, degrees: f64) {
        (self.network.die, self.network.sink) = (degrees, degrees);
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        Standing { die: self.network.die, work: self.work }
    }

    /// The highest temperature of the die so far.
    pub fn hottest(&self) -> f64 {
        self.hottest
    }

    /// What the sensors say: with noise, and the zone of a unit that is switched off.
    pub fn zones(&mut self) -> Vec<ZoneReading> {
        let mut noisy = |celsius: f64| celsius + (self.noise.f64() - 0.5) / 2.0;
        let (tj, cpu, board) =
            (noisy(self.network.die), noisy(self.network.die - 1.5), noisy(self.network.sink));
        let zone = |name: &str, celsius: f64| ZoneReading {
            name: name.to_owned(),
            celsius: Ok(Celsius::from_degrees(celsius)),
        };
        let off = Unread { what: "cv0".to_owned(), why: "its unit is off".to_owned() };
        let off = ZoneReading { name: "cv0".to_owned(), celsius: Err(off) };
        vec![zone("cpu", cpu), off, zone("tboard", board), zone("tj", tj)]
    }

    /// Those that are up.
    pub fn living(&self) -> Vec<SimLiving> {
        let up = self.jobs.iter().filter(|job| job.is_up());
        up.map(living).collect()
    }

    /// The bound that is in force on the GPU's clock.
    pub fn gpu_bound(&self) -> Option<Hertz> {
        self.gpu
    }

    /// Has a step of a ladder done. Whatever waits for its start asks the ladder itself.
    pub fn carry_out(&mut self, step: &HeatStep) {
        match step {
            HeatStep::Hold | HeatStep::Admit => {}
            HeatStep::Cap { experiment, to } => {
                self.hold_back(experiment, |hand| hand.cap = Some(*to));
            }
            HeatStep::Uncap { experiment } => self.hold_back(experiment, |hand| hand.cap = None),
            HeatStep::CapGpu { to } => self.gpu = Some(*to),
            HeatStep::UncapGpu => self.gpu = None,
            HeatStep::Freeze { experiment } => {
                self.hold_back(experiment, |hand| hand.frozen = true);
            }
            HeatStep::Thaw { experiment } => self.hold_back(experiment, |hand| hand.frozen = false),
            HeatStep::Stop { experiment, haste: Haste::Grace | Haste::Critical } => {
                self.stop(experiment);
            }
        }
    }

    /// Holds one back, or lets it go; one that is not up is left as it is.
    pub fn hold_back(&mut self, experiment: &ExperimentId, how: impl FnOnce(&mut Hand)) {
        if let Some(job) = self.up(experiment) {
            how(&mut job.hand);
        }
    }

    /// Has one leave; it waits for its start then.
    pub fn stop(&mut self, experiment: &ExperimentId) {
        if let Some(job) = self.up(experiment)
            && !matches!(job.life, Life::Leaves(_))
        {
            job.life = Life::Leaves(LEAVING);
        }
    }

    /// The next one that waits for its start, as if it were up; `None` if there is none, or no slot.
    pub fn next(&self) -> Option<SimLiving> {
        let up = self.jobs.iter().filter(|job| job.is_up()).count();
        let next = self.jobs.iter().find(|job| job.life == Life::Waits)?;
        (up < self.slots).then(|| living(next))
    }

    /// Starts [the next one](Self::next), if there is one.
    pub fn start_next(&mut self) -> bool {
        if self.next().is_none() {
            return false;
        }
        let since = self.now();
        let next = self.jobs.iter_mut().find(|job| job.life == Life::Waits);
        next.is_some_and(|job| {
            (job.life, job.since, job.cpu_time) = (Life::Starts(self.starting), since, 0.0);
            true
        })
    }

    fn up(&mut self, experiment: &ExperimentId) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.experiment == *experiment && job.is_up())
    }

    fn step(&mut self) {
        let now = self.now();
        let mut paces: Vec<f64> = self.jobs.iter().map(|job| job.pace(now)).collect();
        // There is no more than there is, and all get their share of it. What makes heat does work: a
        // lower voltage at a lower clock, which does more with less, is left out.
        let clock = self.gpu.map_or(1.0, |bound| rate(bound) / rate(GPU_RATES[10]));
        self.share_out(&mut paces, |job| job.gpu, GPU * clock);
        self.share_out(&mut paces, |job| job.uses, ALL);
        self.share_out(&mut paces, |job| job.uses + job.gpu, self.ideal.unwrap_or(f64::INFINITY));
        let mut heat = 0.0;
        for (job, pace) in self.jobs.iter_mut().zip(paces) {
            let takes = (job.uses + job.gpu) * pace;
            heat += takes;
            job.cpu_time += job.uses * pace / 100.0 * STEP;
            self.work += job.pass(STEP, takes);
        }
        self.network.pass(STEP, heat / ALL);
        self.hottest = self.hottest.max(self.network.die);
        self.steps += 1;
        while self.ideal.is_some() && self.start_next() {}
    }

    /// Slows all down that take of something so that there is enough of it.
    fn share_out(&self, paces: &mut [f64], takes: impl Fn(&Job) -> f64, most: f64) {
        let wanted: f64 = self.jobs.iter().zip(&*paces).map(|(job, pace)| takes(job) * pace).sum();
        if wanted > most {
            for (job, pace) in self.jobs.iter().zip(paces) {
                if takes(job) > 0.0 {
                    *pace *= most / wanted;
                }
            }
        }
    }
}

fn rate(hertz: Hertz) -> f64 {
    f64::from(u32::try_from(hertz.get() / 1000).unwrap_or(u32::MAX))
}

fn living(job: &Job) -> SimLiving {
    SimLiving {
        experiment: job.experiment.clone(),
        priority: job.priority,
        since: span(job.since),
        cpu: percent(job.cpu),
        cpu_time: span(job.cpu_time),
        uses_gpu: job.gpu > 0.0,
        hand: job.hand,
    }
}

fn span(seconds: f64) -> TimeSpan {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time in a test")]
    TimeSpan::from_micros((seconds * 1e6) as u64)
}

fn percent(number: f64) -> Percent {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "one of the loads'"
    )]
    Percent::from_permyriad((number * 100.0) as u64)
}

#[cfg(test)]
mod tests;
