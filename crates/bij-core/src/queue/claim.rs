//! What a run takes of the machine.

use serde::{Deserialize, Serialize};

use crate::Bytes;
use crate::definition::ExperimentSpec;

/// What a run takes of the machine while it runs, as its definition claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// `[limits] memory`; `None` is held to no limit, and counts as nothing in the budget.
    pub memory: Option<Bytes>,
    /// `[gpu]`.
    pub gpu: GpuClaim,
}

/// How a run uses the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuClaim {
    /// Not at all.
    #[default]
    None,
    /// Beside others.
    Shared,
    /// Alone.
    Exclusive,
}

impl GpuClaim {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Shared, Self::Exclusive];

    /// The word for it in output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        }
    }
}

impl Claim {
    /// What a definition claims on a machine with so much memory.
    pub fn of(spec: &ExperimentSpec, total: Bytes) -> Self {
        let memory = spec.limits.memory.and_then(|limit| limit.resolve(total).at());
        let gpu = match (spec.gpu.access, spec.gpu.exclusive) {
            (_, true) => GpuClaim::Exclusive,
            (true, false) => GpuClaim::Shared,
            (false, false) => GpuClaim::None,
        };
        Self { memory, gpu }
    }
}
