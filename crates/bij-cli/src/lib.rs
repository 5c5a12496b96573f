//! The command line of bij.
//!
//! The file of a verb, in `command`, has its arguments, its work and its view. The work gathers data, makes a *view* of
//! it and passes it to the `terminal`, which prints it as text for people or, with `--json`, as JSON for programs. Views
//! read no file, bus or clock: the current time and the width of the terminal are part of their `TextFormat`. `view` has
//! what several verbs share.
//!
//! - The result goes to stdout; errors, hints and status lines go to stderr.
//! - An error has a kind, which decides the exit code, and hints where a remedy is known.
//! - A closed pipe ends `bij` silently.
//!
//! This crate is a composition root: it names the adapters (see `docs/adr/0002`).

mod app;
mod args;
mod command;
mod complete;
mod context;
mod coordinator;
mod error;
mod facts;
mod history_source;
mod log_source;
mod queue_source;
mod scope;
mod terminal;
mod time_arg;
mod units;
mod view;

pub use app::{command, main};
