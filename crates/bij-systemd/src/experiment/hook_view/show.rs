//! The queries of [`HookView`](super::HookView) over `systemctl`.

use std::collections::HashMap;

use bij_core::{ExperimentId, MonotonicTime, ServiceResult, Timestamp};

use super::facts::{JobType, MainProcess, UnitFacts, was_ready};
use super::{EXPERIMENT_UNITS, HookViewError, ServiceState};
use crate::RuntimeScope;
use crate::lifecycle::{LifecycleTimes, exit};
use crate::scope::{tool_command, tool_path};

const PROPERTIES: &str = "InvocationID,NRestarts,Result,ActiveEnterTimestamp,ActiveEnterTimestampMonotonic,\
     ActiveExitTimestampMonotonic,\
     ExecMainStartTimestamp,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic,\
     ExecMainCode,ExecMainStatus,Type,StatusErrno,StatusText,RuntimeMaxUSec,MemoryMax,\
     StartLimitBurst,StartLimitIntervalUSec,RestartUSec,Environment";

pub(super) fn facts(scope: RuntimeScope, id: &ExperimentId) -> Result<UnitFacts, HookViewError> {
    let unit = id.unit_name();
    let action = "inspect the unit";
    let show = systemctl(scope, action, &["show", &unit, "--property", PROPERTIES])?;
    let jobs = systemctl(scope, action, &["list-jobs", "--no-legend", "--plain"])?;
    // The state is on stdout; the exit code says whether the system is healthy, and is ignored.
    let state = output(scope, action, &["is-system-running"])?.1;
    Ok(parse(&show, job_type(&jobs, &unit), state.trim()))
}

pub(super) fn is_stopping(scope: RuntimeScope) -> Result<bool, HookViewError> {
    let state = output(scope, "inspect the manager", &["is-system-running"])?.1;
    Ok(state.trim() == "stopping")
}

pub(super) fn has_loaded_experiments(scope: RuntimeScope) -> Result<bool, HookViewError> {
    let action = "list the units";
    let units = systemctl(
        scope,
        action,
        &["list-units", "--all", "--no-legend", "--plain", EXPERIMENT_UNITS],
    )?;
    Ok(!units.trim().is_empty())
}

pub(super) fn service_state(
    scope: RuntimeScope,
    unit: &str,
) -> Result<ServiceState, HookViewError> {
    let arguments = ["show", unit, "--property", "ActiveState,Job"];
    Ok(ServiceState::parse(&systemctl(scope, "inspect the coordinator", &arguments)?))
}

pub(super) fn stop(scope: RuntimeScope, id: &ExperimentId) -> Result<(), HookViewError> {
    systemctl(scope, "stop the unit", &["stop", "--no-block", &id.unit_name()]).map(drop)
}

pub(super) fn reload(scope: RuntimeScope) -> Result<(), HookViewError> {
    systemctl(scope, "reload", &["daemon-reload"]).map(drop)
}

fn systemctl(
    scope: RuntimeScope,
    action: &'static str,
    arguments: &[&str],
) -> Result<String, HookViewError> {
    match output(scope, action, arguments)? {
        (true, stdout, _) => Ok(stdout),
        (false, _, stderr) => {
            Err(HookViewError::Systemctl { action, message: stderr.trim().to_owned() })
        }
    }
}

/// Runs `systemctl` and returns whether it succeeded, its stdout and its stderr.
fn output(
    scope: RuntimeScope,
    action: &'static str,
    arguments: &[&str],
) -> Result<(bool, String, String), HookViewError> {
    let output = tool_command(&tool_path("systemctl"), scope)
        .args([scope.option(), "--no-pager", "--no-ask-password"])
        .args(arguments)
        // The time zone of the output; before systemd 247 there is no option for it.
        .env("TZ", "UTC")
        .output()
        .map_err(|source| HookViewError::Spawn { action, source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

/// Returns the type of the unit's job from a listing with the columns `JOB UNIT TYPE STATE`.
fn job_type<'a>(jobs: &'a str, unit: &str) -> Option<&'a str> {
    jobs.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next()? == unit).then(|| fields.next()).flatten()
    })
}

fn parse(show: &str, job: Option<&str>, system: &str) -> UnitFacts {
    let fields: HashMap<&str, &str> =
        show.lines().filter_map(|line| line.split_once('=')).collect();
    let text = |name| fields.get(name).copied().filter(|text| !text.is_empty());
    let monotonic = |name| {
        let micros = text(name)?.parse().ok().filter(|micros| *micros > 0)?;
        Some(MonotonicTime::from_micros(micros))
    };
    let number = |name| text(name)?.parse::<i32>().ok();
    let times = LifecycleTimes {
        active: monotonic("ActiveEnterTimestampMonotonic"),
        main_start: monotonic("ExecMainStartTimestampMonotonic"),
        main_exit: monotonic("ExecMainExitTimestampMonotonic"),
        active_end: monotonic("ActiveExitTimestampMonotonic"),
    };
    let status = number("ExecMainCode").zip(number("ExecMainStatus"));
    let main_exit = status.and_then(|(code, status)| exit(code, status));
    let was_ready = was_ready(
        &times,
        MainProcess { service_type: text("Type"), errno: number("StatusErrno"), exit: main_exit },
    );
    UnitFacts {
        job: job.map(JobType::from),
        invocation: text("InvocationID").and_then(|id| id.parse().ok()),
        restarts: text("NRestarts").and_then(|number| number.parse().ok()).unwrap_or_default(),
        ready: text("ActiveEnterTimestamp").and_then(time).filter(|_| was_ready),
        main_started: text("ExecMainStartTimestamp").and_then(time),
        main_exit,
        result: text("Result").map(ServiceResult::from),
        ran_for: times.ran_for(),
        left_by_itself: times.left_by_itself(),
        status_text: text("StatusText").map(ToOwned::to_owned),
        time_limit: text("RuntimeMaxUSec").and_then(|span| span.parse().ok()),
        memory_max: text("MemoryMax").and_then(|limit| limit.parse().ok()),
        start_limit_burst: text("StartLimitBurst")
            .and_then(|number| number.parse().ok())
            .unwrap_or_default(),
        start_limit_interval: text("StartLimitIntervalUSec").and_then(|span| span.parse().ok()),
        restart_delay: text("RestartUSec").and_then(|span| span.parse().ok()),
        stamp: text("Environment").and_then(stamp),
        stopping: system == "stopping",
    }
}

/// Parses a time such as `Mon 2026-11-23 22:00:00 UTC`.
fn time(text: &str) -> Option<Timestamp> {
    let mut fields = text.split_whitespace().skip(1);
    let (date, clock) = (fields.next()?, fields.next()?);
    format!("{date}T{clock}Z").parse().ok()
}

/// Returns the stamp from `Environment=`. The stamp is hexadecimal, so it is a separate word however the other
/// variables are quoted.
fn stamp(environment: &str) -> Option<String> {
    let mut words = environment.split_whitespace();
    words
        .rfind(|word| word.starts_with("BIJ_STAMP="))
        .map(|word| word["BIJ_STAMP=".len()..].to_owned())
}

#[cfg(test)]
mod tests {
    use bij_core::{Bytes, Exit, Limit, TimeSpan};

    use super::*;

    #[test]
    fn the_output_of_systemctl_show_is_parsed() {
        let show = "InvocationID=00112233445566778899aabbccddeeff\nNRestarts=2\nResult=signal\n\
             ActiveEnterTimestamp=Mon 2026-11-23 22:00:01 UTC\n\
             ActiveEnterTimestampMonotonic=5000100\nActiveExitTimestampMonotonic=8000001\n\
             ExecMainStartTimestamp=Mon 2026-11-23 22:00:01 UTC\n\
             ExecMainStartTimestampMonotonic=5000000\nExecMainExitTimestampMonotonic=8000000\n\
             ExecMainCode=2\nExecMainStatus=9\nStatusText=step 3=3\nRuntimeMaxUSec=12h\n\
             MemoryMax=41943040\nStartLimitBurst=3\nStartLimitIntervalUSec=5min\nRestartUSec=100ms\n\
             Environment=\"A=1 2\" BIJ_EXPERIMENT=x BIJ_STAMP=0123456789abcdef BIJ_STATE_DIR=/v\n";
        let jobs = "  7 ssh.service start waiting\n 12 brain-experiment@x.service stop running\n";
        let facts = parse(show, job_type(jobs, "brain-experiment@x.service"), "stopping");
        assert_eq!(facts.job, Some(JobType::Stop));
        assert_eq!(facts.restarts, 2);
        assert_eq!(
            facts.ready.map(|t| t.to_string()).as_deref(),
            Some("2026-11-23T22:00:01.000000Z")
        );
        assert_eq!(facts.ran_for, Some(TimeSpan::from_secs(3)));
        assert_eq!(facts.main_exit, Some(Exit::Signal(9)));
        assert_eq!(facts.result, Some(ServiceResult::Signal));
        assert!(facts.left_by_itself);
        assert_eq!(facts.status_text.as_deref(), Some("step 3=3"));
        assert_eq!(facts.time_limit, Some(Limit::At(TimeSpan::from_secs(43_200))));
        assert_eq!(facts.memory_max, Some(Limit::At(Bytes::new(41_943_040))));
        assert_eq!(facts.start_limit_burst, 3);
        assert_eq!(facts.start_limit_interval, Some(Limit::At(TimeSpan::from_secs(300))));
        assert_eq!(facts.stamp.as_deref(), Some("0123456789abcdef"));
        assert!(facts.stopping);
    }

    #[test]
    fn values_that_systemctl_does_not_know_are_absent() {
        let show = "InvocationID=\nNRestarts=0\nActiveEnterTimestamp=n/a\n\
             ActiveEnterTimestampMonotonic=0\nRuntimeMaxUSec=infinity\nMemoryMax=infinity\n";
        let facts = parse(show, None, "running");
        assert_eq!(facts.time_limit, Some(Limit::Max));
        let expected = UnitFacts {
            time_limit: Some(Limit::Max),
            memory_max: Some(Limit::Max),
            ..UnitFacts::default()
        };
        assert_eq!(facts, expected);
    }
}
