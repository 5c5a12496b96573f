//! The command line of bij.
//!
//! A verb gathers data (`facts`), makes a *view* of it, and the view is printed: as text for people
//! or, with `--json`, as JSON for programs. Views know neither files nor buses nor clocks; what time
//! it is and how wide the terminal is are part of their `Format`.
//!
//! - stdout carries the result, stderr what is said about it (errors, hints, status lines);
//! - an error has a kind, which decides the exit code, and hints where a remedy is known;
//! - a closed pipe ends `bij` quietly.
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
mod gpu_memory;
mod lingering;
mod log_source;
mod orders;
mod past;
mod queued;
mod scope;
mod signs;
mod source;
mod sweep;
mod terminal;
mod units;
mod view;
mod when;
mod who;

pub use app::main;
