//! The device nodes of the GPU: what a unit has to be given, and the trap before it.

mod policy;
mod power_on;

pub use policy::{DeviceAllow, GpuKind, GpuPolicy};
pub use power_on::{PowerOnError, power_on};

pub(crate) use power_on::never_powered_on;
