//! The state of a unit, and of the coordinator's service, at one moment.

use bij_core::{Bytes, Exit, InvocationId, Limit, ServiceResult, StartLimit, TimeSpan, Timestamp};

use crate::lifecycle::{LifecycleTimes, exit};
use crate::properties::UnitProperties;

/// The type of a unit's job (org.freedesktop.systemd1(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobType {
    /// The unit is being started.
    Start,
    /// The unit is being stopped.
    Stop,
    /// The unit is being stopped, to be started again.
    Restart,
    /// Any other type, in systemd's word.
    Other(String),
}

impl From<&str> for JobType {
    fn from(word: &str) -> Self {
        match word {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "restart" => Self::Restart,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// The state of an experiment's unit at one moment, as its service manager knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitFacts {
    /// The unit's current job.
    ///
    /// During `ExecStopPost=`, `stop` or `restart` means that the end was requested; there is no job if the
    /// process ended by itself.
    pub job: Option<JobType>,
    /// The invocation id of the current attempt.
    pub invocation: Option<InvocationId>,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// When this attempt became active; `None` if it never did.
    pub ready: Option<Timestamp>,
    /// When the main process was started.
    pub main_started: Option<Timestamp>,
    /// How the main process of this attempt ended; `None` while it runs.
    pub main_exit: Option<Exit>,
    /// The result of this attempt so far.
    pub result: Option<ServiceResult>,
    /// How long the main process ran, by the monotonic clock; `None` until it has ended.
    pub ran_for: Option<TimeSpan>,
    /// Whether the main process of this attempt ended before the unit began to stop.
    pub left_by_itself: bool,
    /// The last `STATUS=` notification.
    pub status_text: Option<String>,
    /// `RuntimeMaxSec=` in force.
    pub time_limit: Option<Limit<TimeSpan>>,
    /// `MemoryMax=` in force.
    pub memory_max: Option<Limit<Bytes>>,
    /// `StartLimitBurst=` in force; 0 switches the limit off.
    pub start_limit_burst: u32,
    /// `StartLimitIntervalSec=` in force; 0 switches the limit off.
    pub start_limit_interval: Option<Limit<TimeSpan>>,
    /// `RestartSec=` in force.
    pub restart_delay: Option<Limit<TimeSpan>>,
    /// `BIJ_STAMP` of the loaded drop-in; `None` if only the template is loaded.
    pub stamp: Option<String>,
    /// Whether the manager itself is shutting down.
    pub stopping: bool,
}

/// How the main process was executed, as the manager knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MainProcess<'a> {
    pub(super) service_type: Option<&'a str>,
    /// The last `ERRNO=` notification; an experiment's launcher sends it if it cannot execute the command.
    pub(super) errno: Option<i32>,
    pub(super) exit: Option<Exit>,
}

impl MainProcess<'_> {
    /// Returns `true` if the experiment's program was never executed. One of systemd's exit codes shows this, where
    /// it cannot be the program's own; the launcher's `ERRNO=` shows it too, and is handled before its exit.
    fn was_never_executed(self) -> bool {
        let only_launched = self.errno.is_some_and(|errno| errno != 0);
        // A unit of `Type=simple`, which an older systemd gets, is active before the program is executed.
        (self.service_type == Some("simple") || only_launched)
            && self.exit.is_some_and(Exit::is_systemd_status)
    }
}

/// Returns `true` if this attempt became active with its own program.
pub(super) fn was_ready(times: &LifecycleTimes, main_process: MainProcess<'_>) -> bool {
    times.was_up() && !main_process.was_never_executed()
}

impl UnitFacts {
    /// Returns the start limit in force; `None` if systemd gave no interval.
    pub fn start_limit(&self) -> Option<StartLimit> {
        let interval = self.start_limit_interval?;
        Some(StartLimit { burst: self.start_limit_burst, interval })
    }

    pub(super) fn from_bus(properties: &UnitProperties, job: Option<&str>, system: &str) -> Self {
        let times = LifecycleTimes::from_properties(properties);
        let status = properties.i32("ExecMainCode").zip(properties.i32("ExecMainStatus"));
        let main_exit = status.and_then(|(code, status)| exit(code, status));
        let was_ready = was_ready(
            &times,
            MainProcess {
                service_type: properties.text("Type"),
                errno: properties.i32("StatusErrno"),
                exit: main_exit,
            },
        );
        Self {
            job: job.map(JobType::from),
            invocation: properties.invocation(),
            restarts: properties.u32("NRestarts").unwrap_or_default(),
            ready: properties.timestamp("ActiveEnterTimestamp").filter(|_| was_ready),
            main_started: properties.timestamp("ExecMainStartTimestamp"),
            main_exit,
            result: properties.text("Result").map(ServiceResult::from),
            ran_for: times.ran_for(),
            left_by_itself: times.left_by_itself(),
            status_text: properties.text("StatusText").map(ToOwned::to_owned),
            time_limit: properties.span_limit("RuntimeMaxUSec"),
            memory_max: properties.bytes_limit("MemoryMax"),
            start_limit_burst: properties.u32("StartLimitBurst").unwrap_or_default(),
            start_limit_interval: properties.span_limit("StartLimitIntervalUSec"),
            restart_delay: properties.span_limit("RestartUSec"),
            stamp: properties.variable("BIJ_STAMP"),
            stopping: system == "stopping",
        }
    }
}

/// The state of a service with `Restart=always`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// The service is stopped, or was never started, and has no start job.
    Stopped,
    /// The service runs, starts, stops, or waits for a restart.
    Up,
    /// The service has failed and is not restarted.
    Failed,
}

impl ServiceState {
    /// Derives the state from `ActiveState=` and from whether the unit has a job (org.freedesktop.systemd1(5)).
    pub(super) fn new(active_state: &str, has_job: bool) -> Self {
        match active_state {
            "inactive" if !has_job => Self::Stopped,
            "failed" if !has_job => Self::Failed,
            // Every other state leads to one of these.
            _ => Self::Up,
        }
    }

    /// Parses the output of `systemctl show`: `ActiveState=` and, while the unit has a job, its number as `Job=`.
    pub(super) fn parse(show: &str) -> Self {
        let value =
            |name: &str| show.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let has_job = value("Job").is_some_and(|job| !job.is_empty() && job != "0");
        Self::new(value("ActiveState").unwrap_or_default(), has_job)
    }
}

#[cfg(test)]
mod tests {
    use bij_core::MonotonicTime;

    use super::*;

    const AT: fn(u32) -> Option<MonotonicTime> = |seconds| Some(MonotonicTime::from_secs(seconds));

    #[test]
    fn an_earlier_attempt_does_not_make_this_one_ready() {
        let never = LifecycleTimes::default();
        let earlier =
            LifecycleTimes { active: AT(10), main_start: AT(20), main_exit: AT(21), ..never };
        assert!(!earlier.was_up());
        assert_eq!(earlier.ran_for(), Some(TimeSpan::from_secs(1)));
        let up = LifecycleTimes { active: AT(20), main_start: AT(20), ..never };
        assert!(up.was_up());
        assert_eq!(up.ran_for(), None);
        for (exit, ready) in
            [(Exit::Code(203), false), (Exit::Code(3), true), (Exit::Signal(9), true)]
        {
            let main_process = |service_type, errno| MainProcess {
                service_type: Some(service_type),
                errno: Some(errno),
                exit: Some(exit),
            };
            assert_eq!(was_ready(&up, main_process("simple", 0)), ready, "{exit:?}");
            assert_eq!(was_ready(&up, main_process("exec", 2)), ready, "{exit:?}");
            assert!(
                was_ready(&up, main_process("exec", 0)),
                "its own program may return this code"
            );
        }
        let never_ran = LifecycleTimes { active: AT(10), ..never };
        assert!(!never_ran.was_up());
    }

    #[test]
    fn the_output_of_systemctl_show_is_parsed() {
        assert_eq!(ServiceState::parse("ActiveState=active\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=activating\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=inactive\n"), ServiceState::Stopped);
        assert_eq!(ServiceState::parse("Job=0\nActiveState=inactive\n"), ServiceState::Stopped);
        assert_eq!(ServiceState::parse("Job=71\nActiveState=inactive\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=failed\n"), ServiceState::Failed);
        assert_eq!(ServiceState::parse("Job=71\nActiveState=failed\n"), ServiceState::Up);
    }
}
