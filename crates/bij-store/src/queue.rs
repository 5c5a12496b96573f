//! The queue in the database.

mod read;
mod row;
mod write;

pub(crate) use read::{events, last_place, load, run_state, runs, standing};
pub(crate) use write::{change, end_run, submit};

#[cfg(test)]
mod tests;
