//! Gates that time opens.

use bij_core::queue::{ClosedGate, QueuedRun};
use bij_core::{TimeSpan, Timestamp};

use super::{Observation, Report, State};
use crate::Now;

/// Before the time that its terms name, or the end of the span.
pub(super) fn not_before(run: &QueuedRun, state: &State, seen: &Observation) -> Option<ClosedGate> {
    let not_before = run.terms.not_before?;
    let left = not_before.left(state.boot, seen.now.at, seen.now.uptime)?;
    // The time of day may have been set since it was expected.
    let (expected, at) = (not_before.at(), at_uptime(seen.now, left));
    let is_as_expected = expected.as_micros().abs_diff(at.as_micros()) < CLOCKS_DIFFER;
    Some(ClosedGate::NotBefore { at: if is_as_expected { expected } else { at } })
}

/// In the first moments of a boot.
pub(super) fn boot_grace(state: &State, seen: &Observation) -> Option<ClosedGate> {
    let left = left_until(state.settings.grace(), seen.now.uptime)?;
    Some(ClosedGate::BootGrace { left })
}

/// After a start that failed.
pub(super) fn back_off(run: &QueuedRun, state: &State, seen: &Observation) -> Option<ClosedGate> {
    let back_off = state.back_off.get(&run.run)?;
    let left = left_until(back_off.until, seen.now.uptime)?;
    let (until, why) = (at_uptime(seen.now, left), back_off.why.clone());
    Some(ClosedGate::BackOff { until, why })
}

/// How long it is until this uptime, if it is still to come.
fn left_until(until: TimeSpan, uptime: TimeSpan) -> Option<TimeSpan> {
    let left = until.as_micros().checked_sub(uptime.as_micros())?;
    (left > 0).then_some(TimeSpan::from_micros(left))
}

/// The time of day after so long.
fn at_uptime(now: Now, left: TimeSpan) -> Timestamp {
    let left = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.at.as_micros().saturating_add(left))
}

/// Two clocks that are read one after the other differ by less, in microseconds.
const CLOCKS_DIFFER: u64 = 1_000_000;

/// How soon the machine is looked at again for something that no event tells.
const LOOK_AGAIN: TimeSpan = TimeSpan::from_secs(5);
/// How soon the time of day is looked at again at the latest: clocks jump.
const CLOCK_AGAIN: TimeSpan = TimeSpan::from_secs(60);

/// Asks for a look when a gate may open by itself.
pub(super) fn ask_for_a_look(gate: &ClosedGate, seen: &Observation, report: &mut Report) {
    let wait = match gate {
        ClosedGate::BootGrace { left } => *left,
        ClosedGate::NotBefore { at } => at.since(seen.now.at).unwrap_or_default().min(CLOCK_AGAIN),
        ClosedGate::BackOff { until, .. } => until.since(seen.now.at).unwrap_or_default(),
        ClosedGate::MemoryAvailable { .. } | ClosedGate::MemoryPressure { .. } => LOOK_AGAIN,
        ClosedGate::Manager { .. }
        | ClosedGate::GoingDown { .. }
        | ClosedGate::Hold { .. }
        | ClosedGate::Paused { .. }
        | ClosedGate::Slots { .. }
        | ClosedGate::GroupSlots { .. }
        | ClosedGate::Memory { .. }
        | ClosedGate::Gpu { .. }
        // The ladder tells when it is cool.
        | ClosedGate::Heat { .. }
        // Whoever switches it tells.
        | ClosedGate::PowerMode { .. }
        | ClosedGate::Dependency { .. }
        | ClosedGate::SameExperiment { .. }
        | ClosedGate::Unit
        | ClosedGate::Turn { .. } => return,
    };
    report.look_at(after(seen.now.uptime, wait));
}

/// The uptime so much later.
pub(crate) fn after(uptime: TimeSpan, wait: TimeSpan) -> TimeSpan {
    TimeSpan::from_micros(uptime.as_micros().saturating_add(wait.as_micros()))
}
