//! Tests on captured boards: as they were, renumbered, with parts missing, and with stand-ins of
//! NVIDIA's tools.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clocks;
mod contract;
mod device;
mod foreign;
mod l4t_32;
mod modes;
mod nano;
mod odd;
mod power;
mod read_deadline;
mod render;
#[cfg(feature = "serde")]
mod serialized;
mod shuffled;
mod thermal_logger;
mod thor;
mod tree;
mod whole;
mod xavier;
