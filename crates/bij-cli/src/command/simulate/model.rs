//! Simulates the ladder on a modelled board, which reacts to it.

use bij_coordinator::thermal::model::{
    BoardModel, FanModel, GPU_RATES, PROCESSORS, Workload, all_or_nothing, ideal_work,
};
use bij_coordinator::thermal::{GpuClockReading, Ladder, ThermalObservation, ThermalSettings};
use bij_core::{Celsius, TimeSpan, Uptime};

use super::page::{Simulated, SimulatedEnd};

/// How far below the throttle temperature all experiments start again in the comparison, in thousandths of a degree.
const RESTART_DISTANCE: i32 = 10_000;

/// Simulates a board with this fan under this load for some hours.
pub(super) fn simulate(
    fan: FanModel,
    workload: Workload,
    hours: u8,
    settings: ThermalSettings,
) -> Simulated {
    let time = TimeSpan::from_secs(u32::from(hours) * 3600);
    let mut board = BoardModel::new(fan, workload);
    let mut ladder = Ladder::new(settings);
    let mut moves = Vec::new();
    while board.uptime() - Uptime::BOOT < time {
        let (uptime, zones, loads) = (board.uptime(), Ok(board.zones()), board.loads());
        let gpu = Some(GpuClockReading { rates: &GPU_RATES, bound: board.gpu_bound() });
        let processors = PROCESSORS;
        let seen = ThermalObservation { uptime, zones: &zones, loads: &loads, processors, gpu };
        for decision in ladder.observe(&seen) {
            board.carry_out(&decision.action);
            moves.push((uptime - Uptime::BOOT, ladder.level().clone(), decision));
        }
        if let Some(next) = board.next()
            && ladder.blocking_reason(next.cpu, None).is_none()
        {
            board.start_next();
        }
        board.pass(ladder.observation_interval());
    }
    let hottest = Some(board.hottest());
    let mut end =
        SimulatedEnd::new(board.uptime() - Uptime::BOOT, hottest, ladder.level(), moves.len());
    let ideal = ideal_work(fan, workload, time, settings.throttle());
    end.work_percent = percent(board.work(), ideal);
    end.all_or_nothing_percent = percent(all_or_nothing_work(fan, workload, time, settings), ideal);
    Simulated::new(moves, end)
}

/// Returns the work if all experiments stop at the throttle temperature and start again below it.
fn all_or_nothing_work(
    fan: FanModel,
    workload: Workload,
    time: TimeSpan,
    settings: ThermalSettings,
) -> TimeSpan {
    let mut board = BoardModel::new(fan, workload);
    let stop_at = settings.throttle();
    let start_at = Celsius::from_millis(stop_at.millis() - RESTART_DISTANCE);
    all_or_nothing(&mut board, time, stop_at, start_at);
    board.work()
}

/// Returns the work in percent of the ideal, with one decimal; `None` if the ideal is 0.
fn percent(work: TimeSpan, ideal: TimeSpan) -> Option<f64> {
    let (work, ideal) = (work.as_secs_f64(), ideal.as_secs_f64());
    (ideal > 0.0).then(|| (work / ideal * 1000.0).round() / 10.0)
}
