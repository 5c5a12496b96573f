//! The GPU, which some want alone.

use bij_core::queue::{ClosedGate, GpuClaim};

use super::room::Room;

pub(super) fn closed(claim: GpuClaim, room: &Room) -> Option<ClosedGate> {
    let in_the_way = |other: GpuClaim| match (claim, other) {
        (GpuClaim::None, _) | (_, GpuClaim::None) | (GpuClaim::Shared, GpuClaim::Shared) => false,
        (GpuClaim::Exclusive, _) | (_, GpuClaim::Exclusive) => true,
    };
    let users = room.gpu().filter(|(_, gpu)| in_the_way(*gpu));
    let used_by: Vec<_> = users.map(|(run, _)| run.clone()).collect();
    (!used_by.is_empty()).then_some(ClosedGate::Gpu { used_by })
}
