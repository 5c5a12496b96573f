//! A board that grows hot under load: a network of heat capacities and resistances, a fan, and
//! experiments that come in many kinds.
//!
//! What is to be judged here is a policy, not a board: whatever holds experiments back tells the
//! [`HeatWorld`] so, lets virtual time pass, and reads temperatures and the work done. Time passes in
//! steps of a quarter of a second, and nothing in it is random that is not the same each time.
//!
//! ```
//! use bij_sim::heat::{Fan, HeatWorld, Load};
//!
//! let mut world = HeatWorld::new(Fan::None, Load::Constant);
//! world.pass(600.0);
//! assert!(world.hottest() > 85.0, "nobody held it back");
//! ```

mod job;
mod load;
mod network;
mod rival;
mod world;

pub use job::{Hand, SimLiving};
pub use load::{Load, UnknownLoad};
pub use network::{Fan, UnknownFan};
pub use rival::all_or_nothing;
pub use world::{GPU_RATES, HeatWorld, PROCESSORS, Standing};
