//! Decides whether an experiment is restarted: `Restart=on-failure` and the start limit.
//!
//! Pure: the time is an argument. The rules are those of systemd (`service_shall_restart` of
//! `src/core/service.c`, [`StartLimit`]), so that the same ends are restarted with systemd and without.

use std::time::Instant;

use bij_core::{Exit, ServiceResult, StartLimit, TimeSpan};

/// `RestartPreventExitStatus=78`: `EX_CONFIG` of sysexits.h(3head).
const EXIT_NEVER: i32 = 78;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;

/// Returns systemd's result for the exit of a main process: code 0 and four signals are clean
/// (systemd.service(5), `SuccessExitStatus=`).
pub(crate) fn result_from_exit(exit: Exit) -> ServiceResult {
    match exit {
        Exit::Code(0) | Exit::Signal(SIGHUP | SIGINT | SIGPIPE | SIGTERM) => ServiceResult::Success,
        Exit::Code(_) => ServiceResult::ExitCode,
        Exit::Signal(_) => ServiceResult::Signal,
        Exit::CoreDump(_) => ServiceResult::CoreDump,
    }
}

/// Returns whether `Restart=on-failure` restarts the experiment.
///
/// It does not after a stop order, nor after exit code 78, by which an experiment declines restarts.
pub(crate) fn should_restart(
    result: &ServiceResult,
    exit: Option<Exit>,
    stop_ordered: bool,
) -> bool {
    if stop_ordered || exit == Some(Exit::Code(EXIT_NEVER)) {
        return false;
    }
    !matches!(result, ServiceResult::Success | ServiceResult::ExecCondition)
}

/// The starts of one experiment that its start limit counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountedStarts(Vec<Instant>);

impl CountedStarts {
    /// Returns whether `limit` allows another start at `at`.
    pub(crate) fn allow(&self, limit: StartLimit, at: Instant) -> bool {
        limit.allows(self.0.iter().map(|start| age(*start, at)))
    }

    /// Counts a start. The ones before it are dropped if their window has closed.
    pub(crate) fn add(&mut self, limit: StartLimit, now: Instant) {
        if self.0.first().is_some_and(|opened| limit.has_closed(age(*opened, now))) {
            self.0.clear();
        }
        self.0.push(now);
    }

    /// Forgets all starts, as `systemctl reset-failed` does.
    pub(crate) fn reset(&mut self) {
        self.0.clear();
    }
}

fn age(start: Instant, at: Instant) -> TimeSpan {
    at.saturating_duration_since(start).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bij_core::Limit;

    use super::*;

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
            assert_eq!(
                should_restart(&result_from_exit(exit), Some(exit), false),
                expected,
                "{exit:?}"
            );
            assert!(
                !should_restart(&result_from_exit(exit), Some(exit), true),
                "{exit:?} when ordered"
            );
        }
        for result in [ServiceResult::Timeout, ServiceResult::Watchdog, ServiceResult::OomKill] {
            assert!(should_restart(&result, Some(Exit::Code(0)), false), "{result}");
        }
    }

    #[test]
    fn starts_count_until_their_window_closes() {
        let limit = StartLimit { burst: 2, interval: Limit::At(TimeSpan::from_secs(10)) };
        let now = Instant::now();
        let at = |second| now + Duration::from_secs(second);
        let mut starts = CountedStarts::default();
        for second in [0, 9, 10, 11] {
            assert!(starts.allow(limit, at(second)), "{second}");
            starts.add(limit, at(second));
        }
        assert!(!starts.allow(limit, at(12)));
        assert_eq!(starts.0, [at(10), at(11)], "the window before is dropped");
        starts.reset();
        assert!(starts.allow(limit, at(12)));
    }
}
