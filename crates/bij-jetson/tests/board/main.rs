//! Captured boards, read as a whole: as they were, with everything numbered anew, with parts missing,
//! and with NVIDIA's tools beside them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clocks;
mod contract;
mod device;
mod foreign;
mod l4t_32;
mod modes;
mod nano;
mod odd;
mod patience;
mod power;
mod shuffled;
mod thor;
mod told;
mod tree;
mod whole;
mod xavier;
