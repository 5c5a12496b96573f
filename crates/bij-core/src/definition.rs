//! Definitions: the text of a file becomes an [`ExperimentSpec`], or an error that names the line.

mod error;
mod spec;

pub use error::{DefinitionError, Place, Problem, Warning};
pub use spec::{
    AbsolutePath, After, CpuSet, ExperimentSpec, Gpu, Health, InvalidCpuSet, InvalidPath, Limits,
    OnReboot, OomPolicy, Power, PowerMode, Queue, Restart, SandboxProfile, Stop, Thermal,
};
