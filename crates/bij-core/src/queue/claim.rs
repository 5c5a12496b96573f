//! What a run takes of the machine.

use serde::{Deserialize, Serialize};

use crate::definition::ExperimentSpec;
use crate::{Bytes, MemoryLimit};

/// What a run takes of the machine while it runs, as its definition claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// `[limits] memory`, and `[gpu] memory` where that is the machine's own; `None` is held to no
    /// limit, and counts as nothing in the budget.
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
    /// What a definition claims on a machine with so much memory, which its GPU shares or not.
    pub fn of(spec: &ExperimentSpec, total: Bytes, shared_with_gpu: bool) -> Self {
        let bytes = |limit: MemoryLimit| limit.resolve(total).at();
        let own = spec.limits.memory.and_then(bytes);
        // No control group counts it, so it comes on top.
        let of_gpu = spec.gpu.memory.filter(|_| shared_with_gpu).and_then(bytes);
        let memory = match (own, of_gpu) {
            (Some(own), Some(of_gpu)) => {
                Some(own.checked_add(of_gpu).unwrap_or(Bytes::new(u64::MAX)))
            }
            (own, of_gpu) => own.or(of_gpu),
        };
        let gpu = match (spec.gpu.access, spec.gpu.exclusive) {
            (_, true) => GpuClaim::Exclusive,
            (true, false) => GpuClaim::Shared,
            (false, false) => GpuClaim::None,
        };
        Self { memory, gpu }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExperimentId;

    #[test]
    fn the_gpus_memory_counts_where_it_is_the_machines_own() {
        let total: Bytes = "64G".parse().unwrap();
        let id = ExperimentId::new("x").unwrap();
        let mut spec = ExperimentSpec::new(id, vec!["true".to_owned()]);
        let claim = |spec: &ExperimentSpec, shared| Claim::of(spec, total, shared).memory;
        spec.gpu.memory = Some("25%".parse().unwrap());
        assert_eq!(claim(&spec, true), Some("16G".parse().unwrap()));
        assert_eq!(claim(&spec, false), None);
        spec.limits.memory = Some("8G".parse().unwrap());
        assert_eq!(claim(&spec, true), Some("24G".parse().unwrap()));
        assert_eq!(claim(&spec, false), Some("8G".parse().unwrap()));
    }
}
