//! Runs of the board model under a policy.

use bij_coordinator::thermal::model::{
    self, BoardModel, FanModel, GPU_RATES, PROCESSORS, Workload,
};
use bij_coordinator::thermal::{
    GpuClockReading, Ladder, ThermalDecision, ThermalLoad, ThermalObservation, ThermalSettings,
};
use bij_core::{Celsius, TimeSpan, Uptime};

/// Result of one run of the model.
pub(crate) struct Outcome {
    /// The highest temperature of the die.
    pub(crate) hottest: f64,
    /// Work done, in seconds of one processor.
    pub(crate) work: f64,
    /// Each move of the ladder with its time in seconds.
    pub(crate) moves: Vec<(f64, ThermalDecision)>,
    /// How often the rival has stopped everything.
    pub(crate) stops: usize,
}

impl Outcome {
    /// Returns the largest number of moves in any hour, after the first seconds.
    pub(crate) fn most_in_an_hour(&self, after: f64) -> usize {
        let times: Vec<f64> =
            self.moves.iter().map(|(at, _)| *at).filter(|at| *at >= after).collect();
        let within_an_hour =
            |from: &f64| times.iter().filter(|at| **at >= *from && **at < *from + 3600.0).count();
        times.iter().map(within_an_hour).max().unwrap_or(0)
    }
}

/// The restraints that the machine supports.
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

pub(crate) fn settings() -> ThermalSettings {
    let (throttle, critical) = (Celsius::new(75), Celsius::new(85));
    ThermalSettings::new(throttle, critical, TimeSpan::from_secs(5)).expect("75 is below 85")
}

/// Runs the board under the ladder.
pub(crate) fn ladder(world: BoardModel, hours: f64, means: Means) -> Outcome {
    let mut ride = Ride::new(world, means);
    while ride.now() < hours * 3600.0 {
        ride.observe();
    }
    let Ride { world, moves, .. } = ride;
    Outcome { hottest: hottest(&world), work: work(&world), moves, stops: 0 }
}

/// A board that the ladder restrains.
pub(crate) struct Ride {
    pub(crate) world: BoardModel,
    pub(crate) ladder: Ladder,
    pub(crate) moves: Vec<(f64, ThermalDecision)>,
    means: Means,
}

impl Ride {
    pub(crate) fn new(world: BoardModel, means: Means) -> Self {
        Self { world, ladder: Ladder::new(settings()), moves: Vec::new(), means }
    }

    /// Returns the seconds since the beginning.
    pub(crate) fn now(&self) -> f64 {
        (self.world.uptime() - Uptime::BOOT).as_secs_f64()
    }

    /// Lets the ladder observe the board once, and time pass until the next observation.
    pub(crate) fn observe(&mut self) {
        let now = self.now();
        let Self { world, ladder, moves, means } = self;
        let up = world.loads().into_iter().map(|one| restrict(one, *means)).collect::<Vec<_>>();
        let (uptime, zones) = (world.uptime(), Ok(world.zones()));
        let gpu = GpuClockReading { rates: &GPU_RATES, bound: world.gpu_bound() };
        let (gpu, processors) = (Some(gpu).filter(|_| means.gpu), PROCESSORS);
        let seen = ThermalObservation { uptime, zones: &zones, loads: &up, processors, gpu };
        let said = ladder.observe(&seen);
        for one in &said {
            if means.caps_bite || one.action.name() != "cap" {
                world.carry_out(&one.action);
            }
        }
        if let Some(next) = world.next()
            && ladder.blocking_reason(restrict(next, *means).cpu, None).is_none()
        {
            world.start_next();
        }
        moves.extend(said.into_iter().map(|one| (now, one)));
        world.pass(ladder.observation_interval());
    }
}

fn restrict(one: ThermalLoad, means: Means) -> ThermalLoad {
    ThermalLoad {
        cpu: if means.quotas { one.cpu } else { PROCESSORS },
        can_cap: means.caps,
        can_cap_gpu: means.gpu && one.can_cap_gpu,
        can_freeze: means.freezes,
        ..one
    }
}

/// Stops everything at 75 °C and starts everything at 65 °C.
pub(crate) fn all_or_nothing(mut world: BoardModel, hours: f64) -> Outcome {
    let (stop_at, start_at) = (Celsius::new(75), Celsius::new(65));
    let stops = model::all_or_nothing(&mut world, span(hours), stop_at, start_at);
    Outcome { hottest: hottest(&world), work: work(&world), moves: Vec::new(), stops }
}

/// Returns the work of the constant load that just holds the throttle temperature, or of the demand where that is less,
/// in seconds of one processor.
pub(crate) fn ideal(fan: FanModel, load: Workload, hours: f64) -> f64 {
    let work = model::ideal_work(fan, load, span(hours), settings().throttle());
    work.as_secs_f64()
}

fn hottest(world: &BoardModel) -> f64 {
    world.hottest().degrees()
}

fn work(world: &BoardModel) -> f64 {
    world.work().as_secs_f64()
}

fn span(hours: f64) -> TimeSpan {
    format!("{hours}h").parse().expect("it is a number of hours")
}
