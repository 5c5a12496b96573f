//! The coordinator of the experiments of a machine or of one user, with its adapters, its clients and its service
//! manager, and the filter between experiments and the service manager's notification socket.
//!
//! The program `bijd` is the coordinator, `bij-notify` the filter. The decisions are made in `bij_coordinator`; this crate
//! has the threads and tasks that read this machine and act on it.

mod coordinator;
mod notify_filter;
mod runtime;

pub use coordinator::{
    BoardReading, BoardRecorder, HandoverFiles, SampleRing, SystemClock, TimedReading,
    run_coordinator,
};
pub use notify_filter::{FilterError, filter_notifications};
