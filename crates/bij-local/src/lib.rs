//! Supervises experiments without systemd.
//!
//! A program that embeds a [`Supervisor`] does for its experiments what PID 1 does elsewhere: it
//! starts them under their limits, watches them, restarts crashed ones by systemd's own policy, and
//! records every attempt in the ledger with the evidence of its end. Definitions and ledger are
//! ports of `bij-core`; the embedding program chooses their adapters.
//!
//! ```no_run
//! # async fn run(layout: bij_core::Layout) -> Result<(), Box<dyn std::error::Error>> {
//! use bij_definition::Definitions;
//! use bij_local::{SupervisorEvent, Options, ShimCommand, Supervisor};
//! use bij_store::RobustLedger;
//!
//! let ledger = RobustLedger::at(&layout);
//! let definitions = Definitions::new(layout.clone());
//! // This program, with the arguments on which its `main` calls `bij_local::shim::main`.
//! let shim = ShimCommand::current_program(["__shim"]);
//! let supervisor = Supervisor::new(layout, ledger, definitions, shim, Options::default())?;
//! let mut events = supervisor.run(&["amnesiac_001".parse()?])?;
//! while let Some(event) = events.next().await {
//!     if let SupervisorEvent::Ended { id, ending } = event {
//!         assert_eq!((id.as_str(), ending), ("amnesiac_001", bij_local::SupervisionEnd::Success));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Theory of operation
//! Each experiment is a task (`supervised_experiment.rs`) that holds the experiment's lock file, so
//! that no two supervisors run one experiment, and runs one attempt after the other. An attempt is:
//!
//! ```text
//! open in the ledger ─► cgroup, sockets, directories ─► shim ─► exec ─► … ─► evidence ─► close
//! ```
//! - **The shim** ([`shim`]) is this same program, started by its hidden subcommand. It enters the
//!   cgroup, sets limits, user and directory, asks the kernel to kill it when the supervisor dies,
//!   and becomes the experiment by execve(2). It reports a step that fails with systemd's exit
//!   status (200 and above), and the attempt's cause is `start-failed`.
//! - **The state machine** (`phase.rs`) decides. It is pure: events with their times go in, actions
//!   come out. Time-outs, the watchdog and stop orders are inputs like the end of the process.
//! - **The resource guard** (`resource_guard.rs`) enforces limits: with a cgroup of version 1 or 2
//!   where one can be made, else with rlimits and a watcher that samples memory, kills an attempt
//!   above its limit, and notes in the evidence that it only samples. Each guard has its own
//!   thread. The embedding program says where cgroups are made ([`CgroupLocation`]); a cgroup that
//!   holds other processes is never changed.
//! - **Output** is read line by line, kept in `<logs>/<id>.log`, and passed to the embedding program.
//! - **The control socket** beside each experiment reports its state and takes stop orders from
//!   other processes. [`LocalUnits`] is its client, and the port that the rest of bij knows.
//!
//! # Which process dies with which
//! All processes of an attempt are killed when its main process ends (`KillMode=mixed`). Orphans
//! become children of the supervisor, a subreaper, and are found by process group, by descent, by
//! cgroup and by `INVOCATION_ID=` in their environment. When a supervisor is killed, the kernel
//! kills the main processes too (`PR_SET_PDEATHSIG`); the next supervisor kills the remaining
//! processes and closes the attempts.
//!
//! # Invariants
//! - The same `Evidence`, the same `Ledger`, the same order of proof as under systemd.
//! - Nothing that an experiment does, prints or leaves unread delays the supervisor.
//! - Knows nothing of systemd but its words and rules.

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
