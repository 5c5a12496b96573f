//! The resources that a run claims.

use crate::spec::ExperimentSpec;
use crate::{Bytes, MemoryLimit};

/// The resources that a run claims while it runs, according to its definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Claim {
    /// `[limits] memory`, plus `[gpu] memory` if the GPU shares the machine's memory. `None` is unlimited and
    /// counts as nothing in the budget.
    pub memory: Option<Bytes>,
    /// The use of the GPU, from `[gpu]`.
    pub gpu: GpuClaim,
}

/// How a run uses the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum GpuClaim {
    /// The run does not use the GPU.
    #[default]
    None,
    /// The run shares the GPU with other runs.
    Shared,
    /// The run needs the GPU for itself.
    Exclusive,
}

impl GpuClaim {
    /// All ways to use the GPU.
    pub const ALL: [Self; 3] = [Self::None, Self::Shared, Self::Exclusive];

    /// Returns the name in output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        }
    }
}

impl Claim {
    /// Returns the claim of a definition on a machine with `total` bytes of memory. `shared_with_gpu` is
    /// whether the GPU uses that memory.
    pub fn from_spec(spec: &ExperimentSpec, total: Bytes, shared_with_gpu: bool) -> Self {
        let bytes = |limit: MemoryLimit| limit.resolve(total).at();
        let own = spec.limits.memory.and_then(bytes);
        // No cgroup counts GPU memory, so it is added to the limit.
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
    fn gpu_memory_counts_if_it_is_the_machines_own() {
        let total: Bytes = "64G".parse().unwrap();
        let id = ExperimentId::new("x").unwrap();
        let mut spec = ExperimentSpec::new(id, vec!["true".to_owned()]);
        let claim = |spec: &ExperimentSpec, shared| Claim::from_spec(spec, total, shared).memory;
        spec.gpu.memory = Some("25%".parse().unwrap());
        assert_eq!(claim(&spec, true), Some("16G".parse().unwrap()));
        assert_eq!(claim(&spec, false), None);
        spec.limits.memory = Some("8G".parse().unwrap());
        assert_eq!(claim(&spec, true), Some("24G".parse().unwrap()));
        assert_eq!(claim(&spec, false), Some("8G".parse().unwrap()));
    }
}
