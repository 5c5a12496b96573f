//! The heat ladder: what is done when the board grows hot, decided from values alone.
//!
//! A [`Ladder`] is shown the machine's thermal zones and the experiments that are up, as often as it
//! [asks](Ladder::next_look), and says what is to be done: a few [moves](HeatMove), each with the
//! reading that asks for it. It needs no store, no bus and no disk, so it can stand in a thread that
//! needs none either.
//!
//! ```
//! use bij_coordinator::heat::{HeatObservation, HeatSettings, HeatStep, Ladder, Level, Living};
//! use bij_core::port::ZoneReading;
//! use bij_core::{Celsius, ExperimentId, Percent, TimeSpan};
//!
//! let (second, five) = (TimeSpan::from_secs(1), TimeSpan::from_secs(5));
//! let mut ladder = Ladder::new(HeatSettings::new(Celsius::new(75), Celsius::new(85), five)?);
//! let living = [Living {
//!     experiment: ExperimentId::new("amnesiac_001")?,
//!     priority: 0,
//!     since: TimeSpan::default(),
//!     cpu: Percent::new(800),
//!     cpu_time: None,
//!     can_cap: true,
//!     can_cap_gpu: false,
//!     can_freeze: true,
//!     max_celsius: None,
//! }];
//! let mut said = Vec::new();
//! for (uptime, degrees) in [(0, 60), (5, 73), (10, 79)] {
//!     let hottest = ZoneReading { name: "tj".to_owned(), celsius: Ok(Celsius::new(degrees)) };
//!     let uptime = TimeSpan::from_secs(uptime);
//!     let (zones, processors) = (Ok(vec![hottest]), Percent::new(1200));
//!     let gpu = None;
//!     said.extend(ladder.look(&HeatObservation { uptime, zones: &zones, living: &living, processors, gpu }));
//! }
//! assert!(matches!(said[0].step, HeatStep::Hold));
//! assert!(matches!(&said[1].step, HeatStep::Cap { to, .. } if *to < Percent::new(800)));
//! assert_eq!(said[0].because.to_string(), "tj is at 73.0 °C");
//! assert_eq!(ladder.next_look(), second);
//! assert_eq!(*ladder.level(), Level::Throttle);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rungs
//! What counts is the hottest zone that can be read, smoothed, and where its slope leads to in some
//! seconds: a rising one has the ladder act before the threshold is reached.
//! - *Hold*: from a few degrees below the throttle temperature on, and as long as anybody is held back,
//!   nothing is started.
//! - *Throttle*: all experiments together get a budget of processor time under which the throttle
//!   temperature just holds. It is found by cutting and, slowly, raising it. Those of the lowest
//!   priority, and of equals the youngest, are capped for it first: down to a tenth or a fifth of a
//!   processor, so that they can still answer a watchdog. Where that is not enough for all they are
//!   frozen in the same order, or stopped with checkpoint if they cannot be frozen. What each takes is
//!   measured, because a cap above that cools nothing.
//!
//!   The kernel has no means to bound one process's share of the GPU, but its clock can be bounded for
//!   all: as far as the one is held back who uses it and is held back least. Where nothing can be
//!   capped, as on kernels without CFS bandwidth, freezing and thawing by turns does some of the work.
//! - *Critical*: everything is stopped with checkpoint, lowest first, until it is cool again.
//! - *Blind*: where nothing can be read, or what was hot cannot be read any more, nothing is started,
//!   and what is held back stays so. A zone that was cool when it went was switched off with its unit
//!   and is not missed; a machine that has no zones has no heat ladder.
//!
//! An experiment with a limit of its own is frozen or stopped when that is reached, whatever its
//! priority, and for twenty minutes at least.
//!
//! # Invariants
//! - Nobody is held back more than somebody before him in order, as far as both can be; so what is
//!   lifted is lifted in reverse order.
//! - Nothing is said twice, unless it [failed](Ladder::failed) or the circumstances changed.
//! - Who was told to leave is never told to stay.
//! - However the load comes and goes, once it has settled there are at most six moves an hour (the
//!   tests judge that against a model of board, heat sink and fan).

mod budget;
mod clock;
mod demand;
mod gate;
mod ladder;
mod reins;
mod seen;
mod sense;
mod settings;
mod spread;
mod step;
mod steps;
#[cfg(test)]
mod tests;

pub use bij_core::{Haste, HeatStep};
pub use ladder::Ladder;
pub use seen::{GpuClockState, HeatObservation, Living};
pub use settings::{HeatSettings, NoRoom};
pub use spread::{Motion, Restraint};
pub use step::{Because, HeatMove, Level};
