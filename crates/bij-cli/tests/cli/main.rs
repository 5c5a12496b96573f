//! Tests of the program: its output, exit codes and files. They need neither systemd nor root; all paths are
//! below a temporary directory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod absent;
mod bad_input;
mod bij;
mod board;
mod completion;
mod files;
mod follow;
mod foreground;
mod history;
mod model;
mod power;
mod queue;
mod queued;
mod reading;
mod simulate;
mod submit;
mod terminal;
