//! A simulated board that grows hot under load: a network of heat capacities and resistances, a
//! fan, and experiments of many kinds.
//!
//! It judges thermal policies. The policy restrains experiments on the [`BoardModel`], lets virtual
//! time pass, and reads temperatures and the work done. Time passes in steps of a quarter of a
//! second. Random numbers have fixed seeds, so every run is the same.
//!
//! ```
//! use bij_coordinator::thermal::model::{BoardModel, FanModel, Workload};
//! use bij_core::{Celsius, TimeSpan};
//!
//! let mut board = BoardModel::new(FanModel::None, Workload::Constant);
//! board.pass(TimeSpan::from_secs(600));
//! assert!(board.hottest() > Celsius::new(85), "no policy restrained it");
//! ```

mod board;
mod network;
mod workload;

use bij_core::{Celsius, TimeSpan};

pub use board::{BoardModel, GPU_RATES, PROCESSORS};
pub use network::{FanModel, UnknownFan};
pub use workload::{UnknownWorkload, Workload};

/// Interval at which the simple policy reads the temperature.
const INTERVAL: TimeSpan = TimeSpan::from_secs(1);

/// Stops all experiments at one temperature and starts them again at another, for this time.
/// Returns how often they were stopped.
pub fn all_or_nothing(
    board: &mut BoardModel,
    time: TimeSpan,
    stop_at: Celsius,
    start_at: Celsius,
) -> usize {
    let until = board.uptime() + time;
    let (mut starts, mut stops) = (true, 0);
    while board.uptime() < until {
        let die = board.die();
        if die >= stop_at {
            stops += usize::from(starts);
            starts = false;
            for load in board.loads() {
                board.stop(&load.experiment);
            }
        } else if die <= start_at {
            starts = true;
        }
        while starts && board.start_next() {}
        board.pass(INTERVAL);
    }
    stops
}

/// Returns the work that is done in this time if at each moment the experiments together get the
/// constant load that just holds a temperature. No policy is expected to do better.
pub fn ideal_work(fan: FanModel, workload: Workload, time: TimeSpan, celsius: Celsius) -> TimeSpan {
    let mut board = BoardModel::new(fan, workload);
    board.hold_ideally(celsius);
    board.pass(time);
    board.work()
}
