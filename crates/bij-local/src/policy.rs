//! When a dead experiment is brought back: `Restart=on-failure` and the start limit.
//!
//! Pure: the time is an argument. The rules are systemd's, `service_shall_restart` of
//! `src/core/service.c` and `ratelimit_below` of `src/basic/ratelimit.c`, so that an experiment
//! meets the same fate here and there.

use std::time::{Duration, Instant};

use bij_core::{Exit, Limit, ServiceResult, TimeSpan, definition::Restart};

/// `RestartPreventExitStatus=78`: `EX_CONFIG` of sysexits.h(3head), "never resurrect me".
const EXIT_NEVER: i32 = 78;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;

/// What systemd calls the way in which a main process ended (systemd.service(5),
/// `SuccessExitStatus=`: code 0 and four signals are clean).
pub(crate) fn result_of(exit: Exit) -> ServiceResult {
    match exit {
        Exit::Code(0) | Exit::Signal(SIGHUP | SIGINT | SIGPIPE | SIGTERM) => ServiceResult::Success,
        Exit::Code(_) => ServiceResult::ExitCode,
        Exit::Signal(_) => ServiceResult::Signal,
        Exit::CoreDump(_) => ServiceResult::CoreDump,
    }
}

/// Whether `Restart=on-failure` brings it back.
///
/// An order to stop is stronger than any failure, and exit code 78 is the experiment's own wish.
pub(crate) fn shall_restart(result: &ServiceResult, exit: Option<Exit>, ordered: bool) -> bool {
    if ordered || exit == Some(Exit::Code(EXIT_NEVER)) {
        return false;
    }
    !matches!(result, ServiceResult::Success | ServiceResult::ExecCondition)
}

/// `StartLimitBurst=` starts within `StartLimitIntervalSec=`.
///
/// The window is fixed, not sliding: it opens with the first start after the last window has
/// closed, as in systemd.
#[derive(Clone, Debug)]
pub(crate) struct StartLimit {
    interval: Option<Duration>,
    burst: u32,
    window: Option<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    opened: Instant,
    starts: u32,
}

impl StartLimit {
    /// No start has happened yet.
    pub(crate) fn new(restart: &Restart) -> Self {
        let mut limit = Self { interval: None, burst: 0, window: None };
        limit.set(restart);
        limit
    }

    /// Takes over a changed definition; starts that have happened still count.
    pub(crate) fn set(&mut self, restart: &Restart) {
        self.interval = restart.interval.at().map(TimeSpan::as_duration);
        // An interval of nothing switches the limit off (systemd.unit(5)).
        let off = restart.interval == Limit::At(TimeSpan::default());
        self.burst = if off { 0 } else { restart.burst };
    }

    /// Forgets all starts, as `systemctl reset-failed` does.
    pub(crate) fn reset(&mut self) {
        self.window = None;
    }

    /// Whether a start at `at` would be allowed.
    pub(crate) fn would_allow(&self, at: Instant) -> bool {
        self.burst == 0 || self.open_window(at).is_none_or(|window| window.starts < self.burst)
    }

    /// Counts a start, if it is allowed.
    pub(crate) fn start(&mut self, now: Instant) -> bool {
        if !self.would_allow(now) {
            return false;
        }
        let window = self.open_window(now).unwrap_or(Window { opened: now, starts: 0 });
        self.window = Some(Window { starts: window.starts + 1, ..window });
        true
    }

    fn open_window(&self, at: Instant) -> Option<Window> {
        let age = |window: &Window| at.saturating_duration_since(window.opened);
        self.window.filter(|window| self.interval.is_none_or(|interval| age(window) < interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restart(burst: u32, interval: Limit<TimeSpan>) -> Restart {
        Restart { burst, interval, ..Restart::default() }
    }

    fn secs(secs: u32) -> Limit<TimeSpan> {
        Limit::At(TimeSpan::from_secs(secs))
    }

    #[test]
    fn failures_are_restarted_and_clean_ends_are_not() {
        for (exit, expected) in [
            (Exit::Code(0), false),
            (Exit::Code(1), true),
            (Exit::Code(75), true),
            (Exit::Code(78), false),
            (Exit::Signal(SIGTERM), false),
            (Exit::Signal(SIGHUP), false),
            (Exit::Signal(SIGINT), false),
            (Exit::Signal(SIGPIPE), false),
            (Exit::Signal(9), true),
            (Exit::CoreDump(11), true),
        ] {
            assert_eq!(shall_restart(&result_of(exit), Some(exit), false), expected, "{exit:?}");
            assert!(!shall_restart(&result_of(exit), Some(exit), true), "{exit:?} when ordered");
        }
        for result in [ServiceResult::Timeout, ServiceResult::Watchdog, ServiceResult::OomKill] {
            assert!(shall_restart(&result, Some(Exit::Code(0)), false), "{result}");
        }
    }

    #[test]
    fn the_first_start_counts_and_the_fourth_is_refused() {
        let now = Instant::now();
        let mut limit = StartLimit::new(&restart(3, secs(300)));
        assert!((0..3).all(|second| limit.start(now + Duration::from_secs(second))));
        assert!(!limit.would_allow(now + Duration::from_secs(4)));
        assert!(!limit.start(now + Duration::from_secs(299)));
    }

    #[test]
    fn the_window_is_fixed_not_sliding() {
        let now = Instant::now();
        let at = |second| now + Duration::from_secs(second);
        let mut limit = StartLimit::new(&restart(2, secs(10)));
        assert!(limit.start(at(0)) && limit.start(at(9)));
        // A sliding window would still hold the start at 9 s and refuse the second of these.
        assert!(limit.start(at(10)) && limit.start(at(11)));
        assert!(!limit.start(at(12)));
    }

    #[test]
    fn no_burst_or_no_interval_is_no_limit_and_infinity_never_forgets() {
        let now = Instant::now();
        for off in [restart(0, secs(10)), restart(1, secs(0))] {
            let mut limit = StartLimit::new(&off);
            assert!((0..50).all(|_| limit.start(now)));
        }
        let mut limit = StartLimit::new(&restart(1, Limit::Max));
        assert!(limit.start(now));
        assert!(!limit.start(now + Duration::from_secs(36_000_000)));
        limit.reset();
        assert!(limit.start(now));
    }
}
