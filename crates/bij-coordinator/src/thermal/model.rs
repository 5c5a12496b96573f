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

mod baseline;
mod board;
mod job;
mod network;
mod workload;

pub use baseline::{all_or_nothing, ideal_work};
pub use board::{BoardModel, GPU_RATES, PROCESSORS};
pub use network::{FanModel, UnknownFan};
pub use workload::{UnknownWorkload, Workload};
