//! Decides whether a unit has been in its state for longer than it may.

use bij_core::{Limit, MonotonicTime, SubState, TimeSpan};
use bij_systemd::experiment::UnitTimes;

/// How much later than systemd the coordinator acts. systemd enforces all these limits itself, and is late only if its
/// timer was moved, or if the machine is very busy.
pub(super) const MARGIN: TimeSpan = TimeSpan::from_secs(3);

/// A time limit that has been exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overrun {
    /// `[limits] time`.
    Time(TimeSpan),
    /// `[health] start_timeout`.
    Start(TimeSpan),
    /// `[stop] grace`.
    Grace(TimeSpan),
}

/// How a unit stands against its time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No time limit applies in this state.
    Unlimited,
    /// The unit is within its limit until then.
    FineUntil(MonotonicTime),
    /// The unit has exceeded a limit.
    Over(Overrun),
}

/// Judges a unit at `now`; it was first observed in its state at `seen_since`.
///
/// systemd knows when a unit was started and became active, but not in all cases since when it is stopping, so
/// `seen_since` counts for that.
pub(super) fn judge(times: &UnitTimes, seen_since: MonotonicTime, now: MonotonicTime) -> Verdict {
    let (since, limit, overrun): (_, _, fn(TimeSpan) -> Overrun) = match times.sub_state {
        // `active_since` may be from an earlier invocation.
        SubState::Running => {
            (times.active_since.max(times.main_started), times.time_limit, Overrun::Time)
        }
        SubState::Start => (times.main_started, times.start_timeout, Overrun::Start),
        SubState::StopSigterm
        | SubState::StopWatchdog
        | SubState::FinalSigterm
        | SubState::FinalWatchdog => (Some(seen_since), times.stop_timeout, Overrun::Grace),
        _ => return Verdict::Unlimited,
    };
    let Some((since, limit)) = since.zip(limit.and_then(Limit::at)) else {
        return Verdict::Unlimited;
    };
    let due = since + limit + MARGIN;
    if now >= due { Verdict::Over(overrun(limit)) } else { Verdict::FineUntil(due) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u32) -> TimeSpan {
        TimeSpan::from_secs(secs)
    }

    const fn at(secs: u32) -> MonotonicTime {
        MonotonicTime::from_secs(secs)
    }

    fn times(sub_state: &str) -> UnitTimes {
        UnitTimes {
            sub_state: SubState::from(sub_state),
            main_started: Some(at(100)),
            active_since: Some(at(110)),
            start_timeout: Some(Limit::At(secs(30))),
            time_limit: Some(Limit::At(secs(60))),
            stop_timeout: Some(Limit::At(secs(2))),
        }
    }

    #[test]
    fn the_time_limit_counts_from_activation() {
        let running = times("running");
        assert_eq!(judge(&running, at(0), at(172)), Verdict::FineUntil(at(173)));
        assert_eq!(judge(&running, at(0), at(173)), Verdict::Over(Overrun::Time(secs(60))));
        let unlimited = UnitTimes { time_limit: Some(Limit::Max), ..running };
        assert_eq!(judge(&unlimited, at(0), at(9_999)), Verdict::Unlimited);
    }

    #[test]
    fn an_earlier_invocation_does_not_count() {
        let restarted = UnitTimes { active_since: Some(at(5)), ..times("running") };
        assert_eq!(judge(&restarted, at(0), at(120)), Verdict::FineUntil(at(163)));
    }

    #[test]
    fn the_start_timeout_counts_from_the_main_process() {
        let starting = UnitTimes { active_since: None, ..times("start") };
        assert_eq!(judge(&starting, at(0), at(132)), Verdict::FineUntil(at(133)));
        let over = Verdict::Over(Overrun::Start(secs(30)));
        assert_eq!(judge(&starting, at(0), at(133)), over);
    }

    #[test]
    fn grace_counts_from_the_first_observation_of_the_stop() {
        for state in ["stop-sigterm", "stop-watchdog", "final-sigterm"] {
            let leaving = times(state);
            assert_eq!(judge(&leaving, at(200), at(204)), Verdict::FineUntil(at(205)));
            let over = Verdict::Over(Overrun::Grace(secs(2)));
            assert_eq!(judge(&leaving, at(200), at(205)), over, "{state}");
        }
    }

    #[test]
    fn units_in_hooks_or_inactive_have_no_limit() {
        for state in
            ["condition", "stop-post", "stop-sigkill", "auto-restart", "dead", "failed", "x"]
        {
            assert_eq!(judge(&times(state), at(0), at(9_999)), Verdict::Unlimited, "{state}");
        }
    }
}
