//! A simulated board that grows hot under load: a network of heat capacities and resistances, a
//! fan, and experiments of many kinds.
//!
//! It judges thermal policies. The policy restrains experiments in the [`HeatWorld`], lets virtual
//! time pass, and reads temperatures and the work done. Time passes in steps of a quarter of a
//! second. Random numbers have fixed seeds, so every run is the same.
//!
//! ```
//! use bij_sim::heat::{Fan, HeatWorld, Load};
//!
//! let mut world = HeatWorld::new(Fan::None, Load::Constant);
//! world.pass(600.0);
//! assert!(world.hottest() > 85.0, "no policy restrained it");
//! ```

mod baseline;
mod job;
mod load;
mod network;
mod world;

pub use baseline::all_or_nothing;
pub use job::{JobRestraint, RunningJob};
pub use load::{Load, UnknownLoad};
pub use network::{Fan, UnknownFan};
pub use world::{GPU_RATES, HeatSnapshot, HeatWorld, PROCESSORS};
