//! The queue in the database.

mod change;
mod read;
mod row;
mod write;

pub(crate) use change::{advance_last_position, change, end_run, move_to};
pub(crate) use read::{
    events, events_in_order, group, groups, last_position, load, pause, position_and_submitted,
    queued_in_order, run_state, runs, standing,
};
pub(crate) use row::{event, queued_run};
pub(crate) use write::{experiment, insert_event, insert_run, put_queued, restore_event, submit};

#[cfg(test)]
mod tests;
