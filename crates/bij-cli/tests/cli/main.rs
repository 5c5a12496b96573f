//! The program itself: what it prints where, and how it ends. Without systemd, without root,
//! everything below a directory of the test's own.

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
mod look;
mod model;
mod power;
mod queue;
mod queued;
mod simulate;
mod submit;
mod terminal;
