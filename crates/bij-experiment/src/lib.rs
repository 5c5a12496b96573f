//! The library for experiments in Rust that run under bij.
//!
//! bij passes the identity of the attempt and its history in environment variables; the process reports its
//! progress in one line of a file and by the messages of `sd_notify(3)`. This crate implements that protocol
//! and nothing else: no dependencies, no threads, no signal handlers.
//!
//! ```
//! use bij_experiment::{Attempt, Ending, Progress};
//!
//! fn main() -> Result<Ending, Box<dyn std::error::Error>> {
//!     let attempt = Attempt::from_env()?;
//!     let mut checkpoints = attempt.checkpoints("sum");
//!
//!     // A checkpoint cut short by a power cut is refused; the one before it is used instead.
//!     let found = checkpoints.resume(attempt.resume_from())?;
//!     let (mut step, mut sum) = (0_u64, 0_u64);
//!     if let Some(checkpoint) = found.checkpoint {
//!         let text = String::from_utf8(checkpoint.payload)?;
//!         let (saved_step, saved_sum) = text.split_once(' ').ok_or("not my checkpoint")?;
//!         (step, sum) = (saved_step.parse()?, saved_sum.parse()?);
//!     }
//!
//!     attempt.ready()?; // for definitions with `notify = true`
//!     while step < 100 {
//!         step += 1;
//!         sum += step;
//!         attempt.heartbeat()?; // for definitions with a `watchdog`
//!         if step % 20 == 0 || attempt.stop_requested() {
//!             let path = checkpoints.save(format!("{step} {sum}").as_bytes())?;
//!             attempt.report(&Progress::at(step).total(100).checkpoint(path))?;
//!             attempt.status(&format!("the sum is {sum}"))?;
//!         }
//!         if attempt.stop_requested() {
//!             return Ok(Ending::ResumeMe);
//!         }
//!     }
//!     # checkpoints.remove_all()?;
//!     Ok(Ending::Done)
//! }
//! ```
//!
//! # Invariants
//! - Everything works without bij: where a variable is unset, the report for it is dropped without an error.
//! - A file that bij or a later attempt reads is always complete: it is written under another name and
//!   renamed (see [`save()`]).
//! - Child processes inherit the environment, and with it `NOTIFY_SOCKET`. The unit's `NotifyAccess=` decides
//!   whether systemd accepts their messages; the watchdog is only for the process in `WATCHDOG_PID`.

mod attempt;
mod cause;
mod checkpoint;
mod ending;
mod environment;
mod notify;
mod progress;
mod save;

pub use attempt::Attempt;
pub use cause::Cause;
pub use checkpoint::{Checkpoint, Checkpoints, ListError, LoadError, ResumePoint};
pub use ending::Ending;
pub use environment::EnvironmentError;
pub use notify::NotifyError;
pub use progress::{Progress, ReportError};
pub use save::{SaveError, SaveStep, save};
