//! The laboratory's inside: what runs in a booted machine to test the whole of bij there.
//!
//! `cargo xtask test` boots real machines (systemd as PID 1 in namespaces, or a kernel of its own in
//! QEMU), lays the staged tree over their root, and adds `bij-lab-agent` as a unit. The agent reads its
//! [`Plan`], runs the scenarios it names one after another, and writes one [`Message`] a line to the
//! results port, which the host follows. The host's half lives in `xtask/src/lab/`.
//!
//! # How to add a scenario
//!
//! 1. Write `fn my_words(guest: &Guest) -> Result<Next, Failure>` in `src/scenario/<topic>.rs`. It may do
//!    anything as root: the machine is thrown away afterwards. Run programs by [`run`] or [`sh`]: what a
//!    failing command said goes into the report by itself. Check by `ensure!`, wait by
//!    [`Guest::wait_for`], never by sleeping for a guessed time.
//! 2. Enter it in that file's `SCENARIOS` table with the lanes it makes sense in. Limits bind only in
//!    the vm lanes; whatever does not need them belongs in the machine lane alone, which is ten times
//!    faster.
//! 3. Use ids of your own (`<topic>_…`). Definitions, enabled units and running experiments are cleared
//!    away after every scenario; ledger rows stay, as they do in life.
//! 4. `cargo xtask test --lane machine --scenario my_words` runs it alone.
//!
//! A scenario that needs several boots returns [`Next::Reboot`] or [`Next::PowerCut`] and is called
//! again in the next boot with [`Guest::phase`] one higher; what it must remember it writes to a file
//! in [`Guest::state_dir`].

mod agent;
mod bij;
mod check;
mod command;
mod guest;
mod protocol;
mod queue;
mod scenario;
mod steps;

pub use agent::{AgentError, serve};
pub use check::Failure;
pub use command::{Output, run, run_for, sh};
pub use guest::{Guest, Next};
pub use protocol::{
    Lane, Message, PEERS_PATH, PLAN_PATH, ParseMessageError, Plan, RESULTS_DIRECTORY, RESULTS_PORT,
    Restart, UNIT_TESTS_PATH,
};
pub use scenario::{Scenario, all as all_scenarios};
pub use steps::{define, define_env, property, write};
