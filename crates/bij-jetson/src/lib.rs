#![doc = include_str!("../README.md")]

mod capture;
mod counters;
mod cpu;
mod fan;
mod files;
#[cfg(test)]
mod fuzz;
mod gpu;
mod gpu_memory;
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
mod sample;
#[cfg(feature = "serde")]
mod text;
mod thermal;
mod tool;

pub use bij_core::{Bytes, Celsius, Hertz, Milliwatts, Outcome, Percent};

pub use capture::{CaptureError, CapturedTree};
pub use counters::{EnergyCounter, OverCurrent};
pub use cpu::Cpu;
pub use fan::Fan;
pub use files::Files;
pub use gpu::GpuState;
pub use gpu_memory::{gpu_memory_by_experiment, group_gpu_memory};
pub use hardware::{Hardware, OpenError};
pub use identity::{Identity, L4t};
pub use jetson_clocks::{ClocksError, JetsonClocks};
pub use memory::{Emc, Memory};
pub use nodes::{DeviceAllow, GpuKind, GpuPolicy, PowerOnError};
pub use nvpmodel::{
    ConfiguredMode, CurrentMode, ModeSetting, ModeSource, Nvpmodel, OfferedMode, ParamKind,
    PassedOver, PowerConf, PowerModes, PowerParam, QueryError, SwitchError,
};
pub use power::{ModeSet, ModeSince, PowerControl};
pub use rail::Rail;
pub use reading::{Reading, WhyNot};
pub use sample::{HardwareReading, QuickSample};
pub use thermal::{CoolingDevice, CoolingRole, Trip, TripKind, Zone};
pub use tool::ToolError;
