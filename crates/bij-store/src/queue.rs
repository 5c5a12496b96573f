//! The queue in the database.

mod change;
mod read;
mod row;
mod write;

pub(crate) use change::{change, end_run};
pub(crate) use read::{events, last_position, load, run_state, runs, standing};
pub(crate) use write::submit;

#[cfg(test)]
mod tests;
