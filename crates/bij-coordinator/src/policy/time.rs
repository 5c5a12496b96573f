//! Gates that open as time passes.

use bij_core::queue::{ClosedGate, QueuedRun};
use bij_core::{TimeSpan, Uptime};

use super::{Observation, Report, State};

/// Returns the gate of a run whose earliest start is still to come.
pub(super) fn not_before(run: &QueuedRun, state: &State, seen: &Observation) -> Option<ClosedGate> {
    let not_before = run.terms.not_before?;
    let left = not_before.left(state.boot, seen.now.at, seen.now.uptime)?;
    // The clock may have been set since the time was computed.
    let (expected, at) = (not_before.at(), seen.now.at + left);
    Some(ClosedGate::NotBefore { at: if at.agrees_with(expected) { expected } else { at } })
}

/// Returns the gate of the grace period after a boot.
pub(super) fn boot_grace(state: &State, seen: &Observation) -> Option<ClosedGate> {
    let left = left_until(Uptime::BOOT + state.settings.grace(), seen.now.uptime)?;
    Some(ClosedGate::BootGrace { left })
}

/// Returns the gate of a run whose last start failed.
pub(super) fn back_off(run: &QueuedRun, state: &State, seen: &Observation) -> Option<ClosedGate> {
    let back_off = state.back_off.get(&run.run)?;
    let left = left_until(back_off.until, seen.now.uptime)?;
    let (until, why) = (seen.now.at + left, back_off.why.clone());
    Some(ClosedGate::BackOff { until, why })
}

/// Returns the time that is left until this uptime, if it is still to come.
fn left_until(until: Uptime, uptime: Uptime) -> Option<TimeSpan> {
    until.since(uptime).filter(|left| !left.is_zero())
}

/// Interval at which a gate is evaluated again that no event announces.
const POLL_INTERVAL: TimeSpan = TimeSpan::from_secs(5);
/// Longest time until the time of day is compared again, because clocks jump.
const CLOCK_CHECK_INTERVAL: TimeSpan = TimeSpan::from_secs(60);

/// Requests another decision at the time at which a gate may open by itself.
pub(super) fn schedule_next_decision(gate: &ClosedGate, seen: &Observation, report: &mut Report) {
    let wait = match gate {
        ClosedGate::BootGrace { left } => *left,
        ClosedGate::NotBefore { at } => at.saturating_since(seen.now.at).min(CLOCK_CHECK_INTERVAL),
        ClosedGate::BackOff { until, .. } => until.saturating_since(seen.now.at),
        ClosedGate::MemoryAvailable { .. } | ClosedGate::MemoryPressure { .. } => POLL_INTERVAL,
        ClosedGate::Manager { .. }
        | ClosedGate::GoingDown { .. }
        | ClosedGate::Hold { .. }
        | ClosedGate::Paused { .. }
        | ClosedGate::Slots { .. }
        | ClosedGate::GroupSlots { .. }
        | ClosedGate::Memory { .. }
        | ClosedGate::Gpu { .. }
        // The thermal ladder reports when the board is cool.
        | ClosedGate::Heat { .. }
        // The end of a switch is reported.
        | ClosedGate::PowerMode { .. }
        | ClosedGate::Dependency { .. }
        | ClosedGate::SameExperiment { .. }
        | ClosedGate::Unit
        | ClosedGate::Turn { .. } => return,
    };
    report.decide_again_at(seen.now.uptime + wait);
}
