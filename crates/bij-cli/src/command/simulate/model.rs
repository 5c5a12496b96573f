//! Simulates the ladder on a modelled board, which reacts to it.

use bij_coordinator::heat::{GpuClockState, HeatObservation, HeatSettings, Ladder, Living};
use bij_core::{Celsius, Uptime};
use bij_sim::heat::{Fan, GPU_RATES, HeatWorld, Load, PROCESSORS, RunningJob, all_or_nothing};

use super::page::{Simulated, SimulatedEnd};

/// How far below the throttle temperature all experiments start again in the comparison, in thousandths of a degree.
const RESTART_DISTANCE: i32 = 10_000;

/// Simulates a board with this fan under this load for some hours.
pub(crate) fn simulate(fan: Fan, load: Load, hours: u8, settings: HeatSettings) -> Simulated {
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
        for heat_move in ladder.observe(&seen) {
            world.carry_out(&heat_move.step);
            moves.push((uptime - Uptime::BOOT, ladder.level().clone(), heat_move));
        }
        if let Some(next) = world.next()
            && ladder.blocking_reason(next.cpu, None).is_none()
        {
            world.start_next();
        }
        world.pass(ladder.observation_interval().as_secs_f64());
    }
    let hottest = Some(Celsius::from_degrees(world.hottest()));
    let lasted = world.uptime() - Uptime::BOOT;
    let mut end = SimulatedEnd::new(lasted, hottest, ladder.level(), moves.len());
    let ideal = ideal_work(fan, load, seconds, settings);
    end.work_percent = percent(world.snapshot().work, ideal);
    end.all_or_nothing_percent = percent(all_or_nothing_work(fan, load, seconds, settings), ideal);
    Simulated::new(moves, end)
}

/// Returns the work of the constant load that just holds the throttle temperature.
fn ideal_work(fan: Fan, load: Load, seconds: f64, settings: HeatSettings) -> f64 {
    let mut world = HeatWorld::new(fan, load);
    world.hold_ideally(settings.throttle());
    world.pass(seconds);
    world.snapshot().work
}

/// Returns the work if all experiments stop at the throttle temperature and start again below it.
fn all_or_nothing_work(fan: Fan, load: Load, seconds: f64, settings: HeatSettings) -> f64 {
    let mut world = HeatWorld::new(fan, load);
    let stop_at = settings.throttle();
    let start_at = Celsius::from_millis(stop_at.millis() - RESTART_DISTANCE);
    all_or_nothing(&mut world, seconds, stop_at, start_at);
    world.snapshot().work
}

/// Returns the work in percent of the ideal, with one decimal; `None` if the ideal is 0.
fn percent(work: f64, ideal: f64) -> Option<f64> {
    (ideal > 0.0).then(|| (work / ideal * 1000.0).round() / 10.0)
}

fn living(one: RunningJob) -> Living {
    let RunningJob { experiment, priority, since, cpu, cpu_time, uses_gpu, restraint: _ } = one;
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
