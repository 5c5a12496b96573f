#![doc = include_str!("../README.md")]

mod attempt_processes;
mod control;
mod control_socket;
mod environment;
mod event;
mod kernel_log;
mod kill_signal;
mod launcher;
mod log_file;
mod log_reader;
mod notify_socket;
mod output;
mod phase;
mod policy;
mod recorder;
mod recovery;
mod resource_guard;
mod running_attempt;
pub mod shim;
mod status;
mod supervised_experiment;
mod supervisor;
mod unit_manager;
mod watcher;

pub use event::{Events, SupervisionEnd, SupervisorEvent};
pub use log_file::{LogLine, LogStream};
pub use log_reader::{LogError, LogFollower, LogQuery, LogReader};
pub use resource_guard::{Backend, CgroupLocation};
pub use shim::ShimCommand;
pub use supervisor::{Options, RunError, Supervisor, SupervisorError};
pub use unit_manager::LocalUnits;
