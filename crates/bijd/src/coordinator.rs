//! The coordinator of this machine's experiments, or of one user's: `bijd` with its
//! adapters, its clients and its service manager.

mod beside;
mod call;
mod clock;
mod gpu_watch;
mod handler;
mod handover;
mod heat;
mod history;
mod journal;
mod limit_watch;
mod manager_state;
mod power_watch;
mod record;
mod refusal;
mod reload;
mod run;
mod shut;
mod tell;
mod told;
mod translate;
mod unit_steering;
mod units;

pub use call::{CoordinatorCall, CoordinatorUsage};
pub use clock::SystemClock;
pub use handover::HandoverFiles;
pub use record::{Glance, Hour, Moment, Recorder};
pub use run::run_coordinator;
