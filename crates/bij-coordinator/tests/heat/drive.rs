//! Policies that hold a board back, each for so many hours of its life.

use bij_coordinator::heat::{
    GpuClockState, HeatMove, HeatObservation, HeatSettings, Ladder, Living,
};
use bij_core::{Celsius, TimeSpan};
use bij_sim::heat::{Fan, GPU_RATES, HeatWorld, Load, PROCESSORS, RunningJob};

/// What became of one life.
pub(crate) struct Outcome {
    /// The highest temperature of the die.
    pub(crate) hottest: f64,
    /// Work done, in seconds of one processor.
    pub(crate) work: f64,
    /// Each move of the ladder with its time in seconds.
    pub(crate) moves: Vec<(f64, HeatMove)>,
    /// How often the rival has stopped everything.
    pub(crate) stops: usize,
}

impl Outcome {
    /// The most moves in any hour after so many seconds.
    pub(crate) fn most_in_an_hour(&self, after: f64) -> usize {
        let times: Vec<f64> =
            self.moves.iter().map(|(at, _)| *at).filter(|at| *at >= after).collect();
        let within_an_hour =
            |from: &f64| times.iter().filter(|at| **at >= *from && **at < *from + 3600.0).count();
        times.iter().map(within_an_hour).max().unwrap_or(0)
    }
}

/// The means that the machine has.
#[expect(clippy::struct_excessive_bools, reason = "each may be had without the others")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    pub(crate) caps: bool,
    pub(crate) freezes: bool,
    /// Whether the GPU's clock can be bounded.
    pub(crate) gpu: bool,
    /// Whether caps have any effect; some kernels take them and do nothing.
    pub(crate) caps_bite: bool,
    /// Whether definitions say how much processor time is taken; otherwise it could be all.
    pub(crate) quotas: bool,
}

pub(crate) const ALL_MEANS: Means =
    Means { caps: true, freezes: true, gpu: true, caps_bite: true, quotas: true };

pub(crate) fn settings() -> HeatSettings {
    let (throttle, critical) = (Celsius::new(75), Celsius::new(85));
    HeatSettings::new(throttle, critical, TimeSpan::from_secs(5)).expect("75 is below 85")
}

/// The ladder.
pub(crate) fn ladder(world: HeatWorld, hours: f64, means: Means) -> Outcome {
    let mut ride = Ride::new(world, means);
    while ride.world.now() < hours * 3600.0 {
        ride.observe();
    }
    let Ride { world, moves, .. } = ride;
    Outcome { hottest: world.hottest(), work: world.snapshot().work, moves, stops: 0 }
}

/// A board that the ladder holds back.
pub(crate) struct Ride {
    pub(crate) world: HeatWorld,
    pub(crate) ladder: Ladder,
    pub(crate) moves: Vec<(f64, HeatMove)>,
    means: Means,
}

impl Ride {
    pub(crate) fn new(world: HeatWorld, means: Means) -> Self {
        Self { world, ladder: Ladder::new(settings()), moves: Vec::new(), means }
    }

    /// One look, and the time to the next.
    pub(crate) fn observe(&mut self) {
        let Self { world, ladder, moves, means } = self;
        let up = world.living().into_iter().map(|one| living(one, *means)).collect::<Vec<_>>();
        let (uptime, zones) = (world.uptime(), Ok(world.zones()));
        let gpu = GpuClockState { rates: &GPU_RATES, bound: world.gpu_bound() };
        let (gpu, processors) = (Some(gpu).filter(|_| means.gpu), PROCESSORS);
        let seen = HeatObservation { uptime, zones: &zones, living: &up, processors, gpu };
        let said = ladder.observe(&seen);
        for one in &said {
            if means.caps_bite || one.step.name() != "cap" {
                world.carry_out(&one.step);
            }
        }
        if let Some(next) = world.next()
            && ladder.blocking_reason(living(next, *means).cpu, None).is_none()
        {
            world.start_next();
        }
        let now = world.now();
        moves.extend(said.into_iter().map(|one| (now, one)));
        world.pass(ladder.observation_interval().as_duration().as_secs_f64());
    }
}

fn living(one: RunningJob, means: Means) -> Living {
    Living {
        experiment: one.experiment,
        priority: one.priority,
        since: one.since,
        cpu: if means.quotas { one.cpu } else { PROCESSORS },
        cpu_time: Some(one.cpu_time),
        can_cap: means.caps,
        can_cap_gpu: means.gpu && one.uses_gpu,
        can_freeze: means.freezes,
        max_celsius: None,
    }
}

/// Stops everything at 75 °C and starts everything at 65 °C.
pub(crate) fn all_or_nothing(mut world: HeatWorld, hours: f64) -> Outcome {
    let (stop_at, start_at) = (Celsius::new(75), Celsius::new(65));
    let stops = bij_sim::heat::all_or_nothing(&mut world, hours * 3600.0, stop_at, start_at);
    Outcome { hottest: world.hottest(), work: world.snapshot().work, moves: Vec::new(), stops }
}

/// The constant load that just holds the throttle temperature, as far as so much is asked for.
pub(crate) fn ideal(fan: Fan, load: Load, hours: f64) -> Outcome {
    let mut world = HeatWorld::new(fan, load);
    world.hold_ideally(settings().throttle());
    world.pass(hours * 3600.0);
    Outcome { hottest: world.hottest(), work: world.snapshot().work, moves: Vec::new(), stops: 0 }
}
