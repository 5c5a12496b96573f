//! The device nodes of the GPU: those that a unit needs, and how they are made to appear.

mod policy;
mod power_on;

pub use policy::{DeviceAllow, GpuKind, GpuPolicy};
pub use power_on::{PowerOnError, power_on};

pub(crate) use power_on::never_powered_on;
