//! The thermal ladder: decides from values alone how experiments are restrained when the board is hot.
//!
//! A [`Ladder`] is given the temperatures of the machine's thermal zones and the experiments that are up, at
//! the [interval](Ladder::observation_interval) that it asks for, and returns what to do: a few
//! [decisions](ThermalDecision), each with the reading that requires it. It needs no store, bus or disk, so it can
//! run in a thread that has none. The [model] of a board shows what it does.
//!
//! ```
//! use bij_coordinator::thermal::{
//!     Ladder, RestraintChange, ThermalAction, ThermalLevel, ThermalLoad, ThermalObservation, ThermalSettings,
//! };
//! use bij_core::port::ZoneReading;
//! use bij_core::{Celsius, ExperimentId, Percent, TimeSpan, Uptime};
//!
//! let (second, five) = (TimeSpan::from_secs(1), TimeSpan::from_secs(5));
//! let mut ladder = Ladder::new(ThermalSettings::new(Celsius::new(75), Celsius::new(85), five)?);
//! let loads = [ThermalLoad {
//!     experiment: ExperimentId::new("amnesiac_001")?,
//!     priority: 0,
//!     since: Uptime::BOOT,
//!     cpu: Percent::new(800),
//!     cpu_time: None,
//!     can_cap: true,
//!     can_cap_gpu: false,
//!     can_freeze: true,
//!     max_celsius: None,
//! }];
//! let mut decisions = Vec::new();
//! for (uptime, degrees) in [(0, 60), (5, 73), (10, 79)] {
//!     let hottest = ZoneReading { name: "tj".to_owned(), celsius: Ok(Celsius::new(degrees)) };
//!     let uptime = Uptime::from_secs(uptime);
//!     let (zones, processors, gpu) = (Ok(vec![hottest]), Percent::new(1200), None);
//!     let seen = ThermalObservation { uptime, zones: &zones, loads: &loads, processors, gpu };
//!     decisions.extend(ladder.observe(&seen));
//! }
//! assert_eq!(decisions[0].action, ThermalAction::Hold);
//! assert_eq!(decisions[0].reason.to_string(), "tj is at 73.0 °C");
//! let ThermalAction::Restrain { change: RestraintChange::Cap(to), .. } = decisions[1].action else { panic!() };
//! assert!(to < Percent::new(800));
//! assert_eq!(ladder.observation_interval(), second);
//! assert_eq!(*ladder.level(), ThermalLevel::Throttle);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Levels
//! The ladder goes by the hottest readable zone, smoothed and extrapolated by its slope: while the
//! temperature rises, it acts before the threshold is reached.
//! - *Hold*: from a few degrees below the throttle temperature, and while any experiment is restrained, no
//!   experiment is started.
//! - *Throttle*: all experiments together get a budget of processor time at which the throttle temperature
//!   just holds. The budget is found by cutting it and, slowly, raising it. Experiments of the lowest
//!   priority, and among equals the youngest, are capped first: down to a tenth of their use or a fifth of a
//!   processor, so that they can still answer a watchdog. If that is not enough, they are frozen in the same
//!   order, or stopped with a checkpoint if they cannot be frozen. The use of each is measured, because a cap
//!   above the use cools nothing.
//!
//!   The kernel cannot bound one process's share of the GPU, but the GPU's clock can be bounded for all
//!   processes: as far as the least restrained experiment that uses the GPU. Where nothing can be capped, as
//!   on kernels without CFS bandwidth, alternating between freezing and thawing lets some work be done.
//! - *Critical*: all experiments are stopped with a checkpoint, lowest priority first, until it is cool again.
//! - *Blind*: if no zone can be read, or a zone that was hot becomes unreadable, nothing is started and
//!   restraints stay as they are. A zone that was cool when it became unreadable was switched off with its
//!   device and is not missed. A machine without zones has no thermal control.
//!
//! An experiment with its own limit is frozen or stopped when that is reached, whatever its priority, for at
//! least twenty minutes.
//!
//! # Invariants
//! - No experiment is restrained more than one before it in the order, as far as both can be; so restraints
//!   are lifted in reverse order.
//! - No action is returned twice, unless it [failed](Ladder::failed) or the circumstances changed.
//! - An experiment that was told to stop is never told to continue.
//! - Once a load has settled, steady or periodic, there are at most six actions an hour (the tests check that
//!   against the [model] of board, heat sink and fan).

mod budget;
mod decision;
mod demand;
mod gpu_clock;
mod ladder;
mod load;
pub mod model;
mod planner;
mod quantity;
mod restraint;
mod settings;
mod start_gate;
mod temperature;
#[cfg(test)]
mod tests;

pub use decision::{ThermalAction, ThermalDecision, ThermalLevel, ThermalReason, ThermalStatus};
pub use gpu_clock::GpuClockReading;
pub use ladder::{Ladder, ThermalObservation};
pub use load::{RunningExperiments, ThermalCapabilities, ThermalLoad};
pub use restraint::{Activity, Restraint, RestraintChange, StopUrgency};
pub use settings::{ThermalSettings, ThresholdsTooClose};
