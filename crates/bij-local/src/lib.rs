//! Supervises experiments itself, where there is no systemd.
//!
//! A program that embeds a [`Supervisor`] does for its experiments what PID 1 does elsewhere: it
//! starts them under their limits, watches over them, brings crashed ones back with systemd's own
//! policy, and writes every attempt into the ledger with the evidence of its end. Definitions and
//! ledger are ports of `bij-core`; whoever composes the program chooses their adapters.
//!
//! ```no_run
//! # async fn run(layout: bij_core::Layout) -> Result<(), Box<dyn std::error::Error>> {
//! use bij_definitions::Definitions;
//! use bij_local::{Event, Options, ShimCommand, Supervisor};
//! use bij_store::RobustLedger;
//!
//! let ledger = RobustLedger::at(&layout);
//! let definitions = Definitions::new(layout.clone());
//! // This program, with the arguments on which its `main` calls `bij_local::shim::main`.
//! let shim = ShimCommand::current_program(["__shim"]);
//! let supervisor = Supervisor::new(layout, ledger, definitions, shim, Options::default())?;
//! let mut events = supervisor.run(&["amnesiac_001".parse()?])?;
//! while let Some(event) = events.next().await {
//!     if let Event::Ended { id, ending } = event {
//!         assert_eq!((id.as_str(), ending), ("amnesiac_001", bij_local::Ending::Success));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Theory of operation
//! Each experiment has a *ward*: a task that holds the experiment's *seat* (a lock file, so that
//! no two supervisors run one experiment) and lets it live attempt after attempt. An attempt is:
//!
//! ```text
//! open in the ledger ─► jar, sockets, directories ─► shim ─► exec ─► … ─► evidence ─► close
//! ```
//! - **The shim** ([`shim`]) is this same program, started by its hidden subcommand. It enters the
//!   cgroup, sets limits, user and directory, ties its life to the supervisor's, and becomes the
//!   experiment by execve(2). What it cannot do, it reports with systemd's exit statuses (200 and
//!   above), and the attempt's cause is `start-failed`.
//! - **The machine** (`phase.rs`) decides. It is pure: what happened and when goes in, what to do
//!   comes out. Time-outs, watchdog and orders are inputs like the death of the process.
//! - **The jar** (`jar.rs`) holds: a cgroup of version 1 or 2 where one can be made, else rlimits
//!   and a watcher that samples memory, kills what is above its limit, and says in the evidence
//!   that it is only a watcher. A thread of its own looks after each jar. Where cgroups are made is
//!   the program's to say ([`CgroupPlace`]); a cgroup that holds other processes is never changed.
//! - **Output** is read line by line, kept in `<logs>/<id>.log`, and handed to whoever looks on.
//! - **The desk** answers others: a socket beside the experiment tells its state and takes orders
//!   to stop. [`LocalUnits`] is its client, and the port that the rest of bij knows.
//!
//! # Who dies with whom
//! All processes of an attempt are killed when its main process ends (`KillMode=mixed`). Orphans
//! become children of the supervisor, a subreaper, and are found by process group, by descent, by
//! cgroup and by `INVOCATION_ID=` in their environment. A supervisor that is killed takes the main
//! processes with it (`PR_SET_PDEATHSIG`); what else it leaves behind is killed, and its attempts
//! closed, by the next one.
//!
//! # Invariants
//! - The same `Evidence`, the same `Ledger`, the same order of proof as under systemd.
//! - Nothing an experiment does, prints or fails to read holds up the supervisor.
//! - Knows nothing of systemd but its words and rules.

mod control_socket;
mod desk;
mod environment;
mod event;
mod group;
mod jar;
mod kernel_log;
mod kill_signal;
mod launcher;
mod leftovers;
mod life;
mod log_file;
mod log_line;
mod log_reader;
mod notify_socket;
mod output;
mod phase;
mod policy;
mod progress_file;
mod recorder;
pub mod shim;
mod status;
mod supervisor;
mod unit_manager;
mod uptime;
mod ward;
mod watcher;

pub use event::{Ending, Event, Events};
pub use jar::{Backend, CgroupPlace};
pub use log_line::{LogLine, Stream};
pub use log_reader::{LogError, LogFollower, LogQuery, LogReader};
pub use shim::ShimCommand;
pub use supervisor::{Options, RunError, Supervisor, SupervisorError};
pub use unit_manager::LocalUnits;
pub use uptime::uptime;
