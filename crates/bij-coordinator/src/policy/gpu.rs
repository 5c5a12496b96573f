//! Gate of the GPU, which a run can claim exclusively.

use bij_core::queue::{ClosedGate, GpuClaim};

use super::capacity::UsedCapacity;

pub(super) fn closed(claim: GpuClaim, used: &UsedCapacity) -> Option<ClosedGate> {
    let users = used.gpu().filter(|(_, gpu)| clash(claim, *gpu));
    let used_by: Vec<_> = users.map(|(run, _)| run.clone()).collect();
    (!used_by.is_empty()).then_some(ClosedGate::Gpu { used_by })
}

/// Returns whether two claims exclude each other.
pub(super) const fn clash(one: GpuClaim, other: GpuClaim) -> bool {
    match (one, other) {
        (GpuClaim::None, _) | (_, GpuClaim::None) | (GpuClaim::Shared, GpuClaim::Shared) => false,
        (GpuClaim::Exclusive, _) | (_, GpuClaim::Exclusive) => true,
    }
}
