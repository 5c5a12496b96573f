//! The command line of bij.
//!
//! A verb gathers data (`facts`) and makes a *view* of it. The view is printed as text for people
//! or, with `--json`, as JSON for programs. Views read no file, bus or clock: the current time and
//! the width of the terminal are part of their `Format`.
//!
//! - The result goes to stdout; errors, hints and status lines go to stderr.
//! - An error has a kind, which decides the exit code, and hints where a remedy is known.
//! - A closed pipe ends `bij` silently.
//!
//! This crate is a composition root: it names the adapters (see `docs/adr/0002`).

mod app;
mod args;
mod caller;
mod command;
mod complete;
mod context;
mod coordinator;
mod error;
mod facts;
mod gpu_memory;
mod history_source;
mod lingering;
mod log_source;
mod orders;
mod queue_source;
mod scope;
mod sweep;
mod symbols;
mod terminal;
mod time_arg;
mod units;
mod view;
mod waiting_runs;

pub use app::main;
