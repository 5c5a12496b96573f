//! The GPU, which some want alone.

use bij_core::queue::{ClosedGate, GpuClaim};

use super::room::Room;

pub(super) fn closed(claim: GpuClaim, room: &Room) -> Option<ClosedGate> {
    let users = room.gpu().filter(|(_, gpu)| clash(claim, *gpu));
    let used_by: Vec<_> = users.map(|(run, _)| run.clone()).collect();
    (!used_by.is_empty()).then_some(ClosedGate::Gpu { used_by })
}

/// Whether two cannot use it at the same time.
pub(super) const fn clash(one: GpuClaim, other: GpuClaim) -> bool {
    match (one, other) {
        (GpuClaim::None, _) | (_, GpuClaim::None) | (GpuClaim::Shared, GpuClaim::Shared) => false,
        (GpuClaim::Exclusive, _) | (_, GpuClaim::Exclusive) => true,
    }
}
