//! Reads the hardware of a Jetson, or of any other Linux machine, below a given root directory.
//!
//! ```no_run
#![doc = include_str!("../examples/board.rs")]
//! ```
//!
//! Devices are found by name and type, because zones, chips and GPUs have other numbers on other boards and
//! releases. A quantity is a [`Reading`]: a value, or a [`WhyNot`]. On an unknown board a quantity may be missing, but
//! it is never wrong.
//!
//! Besides reading, [`Nvpmodel`] switches power modes and verifies them, [`JetsonClocks`] holds clocks,
//! [`PowerControl`] combines both, and [`GpuPolicy`] determines the settings with which a unit can use the GPU.
//!
//! # Invariants
//! - Only files that are chosen by name are read: some attributes of a Jetson block their reader
//!   until an alert, others are cleared by being read.
//! - A read that blocks is abandoned after a deadline and delays no other read.
//! - The only file of sysfs that this crate writes is the limit of the GPU's clock (its `GpuClock`). Modes and other
//!   clocks are set with NVIDIA's tools, whose questions are never answered with "yes".

mod capture;
mod counters;
mod cpu;
mod fan;
mod files;
#[cfg(test)]
mod fuzz;
mod gpu;
mod hardware;
mod hwmon;
mod identity;
mod jetson_clocks;
mod memory;
mod nodes;
mod nvpmodel;
mod parse;
mod power;
mod rail;
mod read_deadline;
mod reading;
mod thermal;
mod tool;

pub use capture::{CaptureError, CapturedTree};
pub use counters::{EnergyCounter, OverCurrent};
pub use cpu::Cpu;
pub use fan::Fan;
pub use files::{Files, Root};
pub use gpu::GpuState;
pub use hardware::{FastReading, Hardware, HardwareReading};
pub use identity::{Identity, L4t};
pub use jetson_clocks::{ClocksError, JetsonClocks, clocks_held};
pub use memory::{Emc, Memory, gpu_memory_by_experiment};
pub use nodes::{DeviceAllow, GpuKind, GpuPolicy, PowerOnError, power_on};
pub use nvpmodel::{
    ConfiguredMode, CurrentMode, ModeSetting, ModeSource, Nvpmodel, OfferedMode, ParamKind,
    PassedOver, PowerConf, PowerModes, PowerParam, QueryError, SwitchError,
};
pub use power::{ModeSet, ModeSince, PowerControl};
pub use rail::Rail;
pub use reading::{Reading, WhyNot};
pub use thermal::{CoolingDevice, CoolingRole, Trip, TripKind, Zone};
pub use tool::ToolError;
