//! The coordinator of the experiments of this machine or of one user, with its adapters, its clients and its service
//! manager.

mod gpu_watch;
mod handler;
mod handover;
mod history;
mod journal;
mod limit_watch;
mod manager_probe;
mod outage;
mod power_watch;
mod record;
mod refusal;
mod reload;
mod run;
mod services;
mod thermal;
mod unit_steering;

pub use handover::HandoverFiles;
pub use record::{BoardReading, BoardRecorder, SampleRing, TimedReading};
pub use run::{SystemClock, run_coordinator};
