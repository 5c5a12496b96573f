#![doc = include_str!("../README.md")]

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
