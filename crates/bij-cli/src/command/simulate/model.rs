//! The model: a board that answers to what the ladder says.

use bij_coordinator::heat::{GpuClockState, HeatObservation, HeatSettings, Ladder, Living};
use bij_core::Celsius;
use bij_sim::heat::{Fan, GPU_RATES, HeatWorld, Load, PROCESSORS, SimLiving, all_or_nothing};

use crate::view::{Simulated, SimulatedEnd};

/// How far below the throttle temperature the rival starts everything again.
const RIVAL_STARTS_BELOW: i32 = 10_000;

/// So many hours of a board with this fan under this load.
pub(super) fn ride(fan: Fan, load: Load, hours: u8, settings: HeatSettings) -> Simulated {
    let seconds = f64::from(hours) * 3600.0;
    let mut world = HeatWorld::new(fan, load);
    let mut ladder = Ladder::new(settings);
    let mut moves = Vec::new();
    while world.now() < seconds {
        let up: Vec<Living> = world.living().into_iter().map(living).collect();
        let (uptime, zones) = (world.uptime(), Ok(world.zones()));
        let gpu = Some(GpuClockState { rates: &GPU_RATES, bound: world.gpu_bound() });
        let processors = PROCESSORS;
        let seen = HeatObservation { uptime, zones: &zones, living: &up, processors, gpu };
        for said in ladder.observe(&seen) {
            world.carry_out(&said.step);
            moves.push((uptime, ladder.level().clone(), said));
        }
        if let Some(next) = world.next()
            && ladder.blocking_reason(next.cpu, None).is_none()
        {
            world.start_next();
        }
        world.pass(ladder.observation_interval().as_duration().as_secs_f64());
    }
    let hottest = Some(Celsius::from_degrees(world.hottest()));
    let mut end = SimulatedEnd::new(world.uptime(), hottest, ladder.level(), moves.len());
    let bound = bound(fan, load, seconds, settings);
    end.work_percent = percent(world.standing().work, bound);
    end.all_or_nothing_percent = percent(rival(fan, load, seconds, settings), bound);
    Simulated::new(moves, end)
}

/// The work of the constant load that just holds the throttle temperature.
fn bound(fan: Fan, load: Load, seconds: f64, settings: HeatSettings) -> f64 {
    let mut world = HeatWorld::new(fan, load);
    world.hold_ideally(settings.throttle());
    world.pass(seconds);
    world.standing().work
}

/// The work of who stops everything at the throttle temperature.
fn rival(fan: Fan, load: Load, seconds: f64, settings: HeatSettings) -> f64 {
    let mut world = HeatWorld::new(fan, load);
    let stop_at = settings.throttle();
    let start_at = Celsius::from_millis(stop_at.millis() - RIVAL_STARTS_BELOW);
    all_or_nothing(&mut world, seconds, stop_at, start_at);
    world.standing().work
}

/// With one decimal; nothing of nothing is no share.
fn percent(work: f64, bound: f64) -> Option<f64> {
    (bound > 0.0).then(|| (work / bound * 1000.0).round() / 10.0)
}

fn living(one: SimLiving) -> Living {
    let SimLiving { experiment, priority, since, cpu, cpu_time, uses_gpu, hand: _ } = one;
    Living {
        experiment,
        priority,
        since,
        cpu,
        cpu_time: Some(cpu_time),
        can_cap: true,
        can_cap_gpu: uses_gpu,
        can_freeze: true,
        max_celsius: None,
    }
}
