//! The example experiments live, die and come back, as real processes.
//!
//! The tests play bij: they set the variables, listen at the socket, kill for memory or silence, and
//! tell the next attempt what its predecessor died of. Nothing here needs root or systemd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod amnesiac;
mod definitions;
mod dreamer;
mod jar;
mod panopticon;
mod protocol;
mod unstable;
