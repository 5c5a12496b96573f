//! `bij-hook admit`: may it start now?

use bij_core::ExperimentId;

use crate::Place;

/// Asks whoever admits experiments on this machine.
///
/// Without a coordinator nobody queues and everything may start: systemd's own limits hold. So the
/// answer is yes, and the journal says why.
pub fn admit(place: &Place, id: &ExperimentId) {
    let socket = place.layout().runtime().join("coordinator.sock");
    if socket.exists() {
        log::warn!(
            BIJ_EXPERIMENT:% = id, BIJ_EVENT = "admitted";
            "{} is there, but this bij-hook cannot ask it; {id} starts without being asked for",
            socket.display()
        );
    } else {
        log::debug!(
            BIJ_EXPERIMENT:% = id, BIJ_EVENT = "admitted";
            "no coordinator; {id} may start"
        );
    }
}
