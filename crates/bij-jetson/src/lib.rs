//! Reads the hardware of a Jetson, or of any other Linux machine, below a root that is a parameter.
//!
//! ```no_run
#![doc = include_str!("../examples/board.rs")]
//! ```
//!
//! Everything is found by name and type: zones, chips and GPUs have other numbers on other boards and
//! releases. What a quantity is stands in a [`Reading`]: a value, or [`WhyNot`]. Boards that nobody has
//! seen degrade to reasons and never to wrong numbers.
//!
//! Beside reading there are [`Nvpmodel`], which switches power modes and verifies it, [`JetsonClocks`],
//! [`PowerControl`] over both, and [`GpuPolicy`], which tells what a unit needs to use the GPU.
//!
//! # Invariants
//! - No file is read that was not chosen by its name: some attributes of a Jetson block their reader
//!   until an alert, others are cleared by being read.
//! - A file that blocks is given up after a deadline and holds up nothing else.
//! - Nothing here writes to sysfs but the bound of the GPU's clock (its `GpuClock`); modes and the other clocks
//!   go through NVIDIA's tools, which never get a "yes".

mod capture;
mod cpu;
mod emc;
mod energy;
mod fan;
mod files;
#[cfg(test)]
mod fuzz;
mod gpu;
mod gpu_clock;
mod gpu_share;
mod hwmon;
mod identity;
mod jetson_clocks;
mod machine;
mod memory;
mod nodes;
mod nvpmodel;
mod over_current;
mod parse;
mod patience;
mod port;
mod power;
mod pulse;
mod rail;
mod reading;
mod thermal;
mod tool;

pub use capture::{CaptureError, CapturedTree};
pub use cpu::Cpu;
pub use emc::Emc;
pub use energy::EnergyCounter;
pub use fan::Fan;
pub use files::{Files, Root};
pub use gpu::Gpu;
pub use gpu_share::gpu_memory_by_experiment;
pub use identity::{Identity, L4t};
pub use jetson_clocks::{ClocksError, JetsonClocks, clocks_held};
pub use machine::{BoardSample, Machine};
pub use memory::Memory;
pub use nodes::{DeviceAllow, GpuKind, GpuPolicy, PowerOnError, power_on};
pub use nvpmodel::{
    CurrentMode, ModeSource, Nvpmodel, OfferedMode, ParamKind, PassedOver, PowerConf, PowerMode,
    PowerModes, PowerParam, PowerSetting, QueryError, SwitchError,
};
pub use over_current::OverCurrent;
pub use power::{ModeSet, ModeSince, PowerControl};
pub use pulse::Pulse;
pub use rail::Rail;
pub use reading::{Reading, WhyNot};
pub use thermal::{CoolingDevice, CoolingRole, Trip, TripKind, Zone};
pub use tool::ToolError;
