//! What is known about a unit at one moment.

use bij_core::{Bytes, Exit, InvocationId, Limit, ServiceResult, StartLimit, TimeSpan, Timestamp};

use crate::properties::Properties;

/// The type of a unit's job (org.freedesktop.systemd1(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobType {
    /// It is being started.
    Start,
    /// It is being stopped.
    Stop,
    /// It is being stopped, to be started again.
    Restart,
    /// Another word of systemd's.
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

/// What a service manager knows about an experiment's unit at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitFacts {
    /// The job that is under way.
    ///
    /// In `ExecStopPost=` a `stop` or `restart` here means that somebody asked for the end; when
    /// the process ended by itself there is none.
    pub job: Option<JobType>,
    /// This life of the unit.
    pub invocation: Option<InvocationId>,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// When this life was up; `None` if it never was.
    pub ready: Option<Timestamp>,
    /// When the main process was started.
    pub main_started: Option<Timestamp>,
    /// How the main process of this life ended, if it has.
    pub main_exit: Option<Exit>,
    /// The result of this life until now.
    pub result: Option<ServiceResult>,
    /// How long the main process ran, by a clock that does not jump; `None` until it has ended.
    pub ran_for: Option<TimeSpan>,
    /// Whether the main process of this life had ended before the unit began to stop.
    pub left_by_itself: bool,
    /// The last `STATUS=`.
    pub status_text: Option<String>,
    /// `RuntimeMaxSec=` in force.
    pub time_limit: Option<Limit<TimeSpan>>,
    /// `MemoryMax=` in force.
    pub memory_max: Option<Limit<Bytes>>,
    /// `StartLimitBurst=` in force; 0 switches the limit off.
    pub start_limit_burst: u32,
    /// `StartLimitIntervalSec=` in force; nothing switches the limit off.
    pub start_limit_interval: Option<Limit<TimeSpan>>,
    /// `RestartSec=` in force.
    pub restart_delay: Option<Limit<TimeSpan>>,
    /// `BIJ_STAMP` of the drop-in that is loaded; `None` if the template alone is.
    pub stamp: Option<String>,
    /// Whether the manager itself is going down.
    pub stopping: bool,
}

/// The moments from which follows what this life was, by the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) active: Option<TimeSpan>,
    pub(super) main_start: Option<TimeSpan>,
    pub(super) main_exit: Option<TimeSpan>,
    pub(super) active_end: Option<TimeSpan>,
}

/// What the manager says of how a main process was executed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Execution<'a> {
    /// `Type=`.
    pub(super) service_type: Option<&'a str>,
    /// The last `ERRNO=`: the launcher of an experiment says so if it cannot execute the command.
    pub(super) errno: Option<i32>,
    /// How it ended.
    pub(super) exit: Option<Exit>,
}

impl Execution<'_> {
    /// Whether the experiment's own program never was executed: a status of systemd's says so, if it
    /// cannot be the program's. The launcher tells the manager, `ERRNO=`, and is heard before it is gone.
    fn has_failed(self) -> bool {
        let only_launched = self.errno.is_some_and(|errno| errno != 0);
        // A unit of `Type=simple`, which is what an older systemd gets, is up before that.
        (self.service_type == Some("simple") || only_launched)
            && self.exit.is_some_and(Exit::is_systemd_status)
    }
}

impl Moments {
    /// Whether this life was up: an earlier life's moment lies before this main process.
    fn was_up(self) -> bool {
        self.main_start.is_some_and(|start| self.active.is_some_and(|active| active >= start))
    }

    /// Whether this life was up with its own program.
    pub(super) fn was_ready(self, execution: Execution<'_>) -> bool {
        self.was_up() && !execution.has_failed()
    }

    /// Whether the main process had ended before the unit left the state "active". systemd takes down the
    /// exit first and reacts to it then; where it asks the process to leave, it is the other way round.
    pub(super) fn left_by_itself(self) -> bool {
        self.was_up() && self.main_exit.zip(self.active_end).is_some_and(|(exit, end)| exit <= end)
    }

    pub(super) fn ran_for(self) -> Option<TimeSpan> {
        let (start, exit) = self.main_start.zip(self.main_exit)?;
        exit.as_micros().checked_sub(start.as_micros()).map(TimeSpan::from_micros)
    }
}

/// `ExecMainCode` and `ExecMainStatus`: `si_code` and `si_status` of waitid(2).
pub(super) fn exit(code: i32, status: i32) -> Option<Exit> {
    match code {
        1 => Some(Exit::Code(status)),
        2 => Some(Exit::Signal(status)),
        3 => Some(Exit::CoreDump(status)),
        _ => None,
    }
}

impl UnitFacts {
    /// Returns the start limit in force; `None` if systemd told no interval.
    pub fn start_limit(&self) -> Option<StartLimit> {
        let interval = self.start_limit_interval?;
        Some(StartLimit { burst: self.start_limit_burst, interval })
    }

    pub(super) fn from_bus(properties: &Properties, job: Option<&str>, system: &str) -> Self {
        let moments = Moments {
            active: properties.monotonic("ActiveEnterTimestampMonotonic"),
            main_start: properties.monotonic("ExecMainStartTimestampMonotonic"),
            main_exit: properties.monotonic("ExecMainExitTimestampMonotonic"),
            active_end: properties.monotonic("ActiveExitTimestampMonotonic"),
        };
        let status = properties.i32("ExecMainCode").zip(properties.i32("ExecMainStatus"));
        let main_exit = status.and_then(|(code, status)| exit(code, status));
        let was_ready = moments.was_ready(Execution {
            service_type: properties.text("Type"),
            errno: properties.i32("StatusErrno"),
            exit: main_exit,
        });
        Self {
            job: job.map(JobType::from),
            invocation: properties.invocation(),
            restarts: properties.u32("NRestarts").unwrap_or_default(),
            ready: properties.timestamp("ActiveEnterTimestamp").filter(|_| was_ready),
            main_started: properties.timestamp("ExecMainStartTimestamp"),
            main_exit,
            result: properties.text("Result").map(ServiceResult::from),
            ran_for: moments.ran_for(),
            left_by_itself: moments.left_by_itself(),
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

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u32) -> Option<TimeSpan> = |seconds| Some(TimeSpan::from_secs(seconds));

    #[test]
    fn an_earlier_life_does_not_make_this_one_ready() {
        let never = Moments::default();
        let earlier = Moments { active: AT(10), main_start: AT(20), main_exit: AT(21), ..never };
        assert!(!earlier.was_up());
        assert_eq!(earlier.ran_for(), AT(1));
        let up = Moments { active: AT(20), main_start: AT(20), ..never };
        assert!(up.was_up());
        assert_eq!(up.ran_for(), None);
        for (exit, ready) in
            [(Exit::Code(203), false), (Exit::Code(3), true), (Exit::Signal(9), true)]
        {
            let execution = |service_type, errno| Execution {
                service_type: Some(service_type),
                errno: Some(errno),
                exit: Some(exit),
            };
            assert_eq!(up.was_ready(execution("simple", 0)), ready, "{exit:?}");
            assert_eq!(up.was_ready(execution("exec", 2)), ready, "{exit:?}");
            assert!(up.was_ready(execution("exec", 0)), "its own program may say so");
        }
        let never_ran = Moments { active: AT(10), ..never };
        assert!(!never_ran.was_up());
    }

    #[test]
    fn an_exit_before_the_unit_stops_is_its_own() {
        let life = Moments { active: AT(20), main_start: AT(20), ..Moments::default() };
        let left = |exit, end| Moments { main_exit: AT(exit), active_end: AT(end), ..life };
        assert!(left(30, 30).left_by_itself());
        assert!(left(30, 31).left_by_itself());
        assert!(!left(31, 30).left_by_itself(), "it was asked to leave");
        assert!(!Moments { main_exit: AT(30), ..life }.left_by_itself());
        let not_up = Moments { active: AT(10), ..left(30, 31) };
        assert!(!not_up.left_by_itself(), "the moment is of an earlier life");
    }
}
