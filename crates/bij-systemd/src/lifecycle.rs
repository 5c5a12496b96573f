//! What the time stamps of a service prove about its last start.

use bij_core::{Exit, MonotonicTime, TimeSpan};

use crate::properties::UnitProperties;

/// Times by the monotonic clock. The active times may be those of an earlier attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LifecycleTimes {
    pub(crate) active: Option<MonotonicTime>,
    pub(crate) main_start: Option<MonotonicTime>,
    pub(crate) main_exit: Option<MonotonicTime>,
    pub(crate) active_end: Option<MonotonicTime>,
}

impl LifecycleTimes {
    pub(crate) fn from_properties(properties: &UnitProperties) -> Self {
        Self {
            active: properties.monotonic("ActiveEnterTimestampMonotonic"),
            main_start: properties.monotonic("ExecMainStartTimestampMonotonic"),
            main_exit: properties.monotonic("ExecMainExitTimestampMonotonic"),
            active_end: properties.monotonic("ActiveExitTimestampMonotonic"),
        }
    }

    /// Returns `true` if this attempt became active. The active time of an earlier attempt lies before the start
    /// of this main process.
    pub(crate) fn was_up(self) -> bool {
        self.main_start.is_some_and(|start| self.active.is_some_and(|active| active >= start))
    }

    /// Returns `true` if the main process ended before the unit left the state "active". systemd first records
    /// an exit and then changes the state; when it stops the process itself, the order is reversed.
    pub(crate) fn left_by_itself(self) -> bool {
        self.was_up() && self.main_exit.zip(self.active_end).is_some_and(|(exit, end)| exit <= end)
    }

    pub(crate) fn ran_for(self) -> Option<TimeSpan> {
        let (start, exit) = self.main_start.zip(self.main_exit)?;
        exit.since(start)
    }
}

/// Converts `ExecMainCode` and `ExecMainStatus`, which are `si_code` and `si_status` of waitid(2).
pub(crate) fn exit(code: i32, status: i32) -> Option<Exit> {
    match code {
        1 => Some(Exit::Code(status)),
        2 => Some(Exit::Signal(status)),
        3 => Some(Exit::CoreDump(status)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u32) -> Option<MonotonicTime> = |seconds| Some(MonotonicTime::from_secs(seconds));

    #[test]
    fn a_process_that_ended_before_the_unit_stopped_left_by_itself() {
        let attempt =
            LifecycleTimes { active: AT(20), main_start: AT(20), ..LifecycleTimes::default() };
        let left =
            |exit, end| LifecycleTimes { main_exit: AT(exit), active_end: AT(end), ..attempt };
        assert!(left(30, 30).left_by_itself());
        assert!(left(30, 31).left_by_itself());
        assert!(!left(31, 30).left_by_itself(), "systemd stopped it");
        assert!(!LifecycleTimes { main_exit: AT(30), ..attempt }.left_by_itself());
        let not_up = LifecycleTimes { active: AT(10), ..left(30, 31) };
        assert!(!not_up.left_by_itself(), "the active time is that of an earlier attempt");
    }
}
