//! The environment of an attempt.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use bij_core::port::Opened;
use bij_core::spec::ExperimentSpec;
use bij_core::{InvocationId, Layout};

use crate::shim::UserIdentity;

/// Variables that describe the supervisor's own process and would be wrong in an experiment.
const SUPERVISOR_VARIABLES: [&str; 12] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "MAINPID",
    "MANAGERPID",
    "SYSTEMD_EXEC_PID",
    "PWD",
];

/// The sources of an attempt's environment.
pub(crate) struct AttemptEnvironment<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) spec: &'a ExperimentSpec,
    pub(crate) opened: &'a Opened,
    pub(crate) invocation: InvocationId,
    pub(crate) resume_from: Option<String>,
    pub(crate) notify_socket: &'a OsString,
    pub(crate) user: Option<&'a UserIdentity>,
}

impl AttemptEnvironment<'_> {
    /// Returns `base` without the supervisor's own variables, overridden by those of the user, then of
    /// the definition, then of bij.
    pub(crate) fn merge_with(
        &self,
        base: &BTreeMap<OsString, OsString>,
    ) -> BTreeMap<OsString, OsString> {
        let inherited = base.iter().filter(|(name, _)| {
            let name = name.to_string_lossy();
            !name.starts_with("BIJ_") && !SUPERVISOR_VARIABLES.contains(&name.as_ref())
        });
        let mut environment: BTreeMap<_, _> =
            inherited.map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some(user) = self.user {
            for name in ["USER", "LOGNAME"] {
                environment.insert(name.into(), user.name.clone().into());
            }
            environment.insert("HOME".into(), user.home.clone().into());
        }
        for (name, value) in &self.spec.environment {
            environment.insert(name.into(), value.into());
        }
        environment.extend(
            self.protocol_variables().into_iter().map(|(name, value)| (name.into(), value)),
        );
        environment
    }

    /// Returns the variables of the protocol (`bij(7)`, "What an experiment is told").
    fn protocol_variables(&self) -> BTreeMap<&'static str, OsString> {
        let Self { layout, spec, opened, .. } = self;
        let id = &spec.id;
        let path = PathBuf::into_os_string;
        let mut own = BTreeMap::from([
            ("BIJ_EXPERIMENT", id.as_str().into()),
            ("BIJ_RUN", opened.run.to_string().into()),
            ("BIJ_ATTEMPT", opened.attempt.to_string().into()),
            ("BIJ_CRASHES", opened.before.crashes.to_string().into()),
            ("BIJ_STATE_DIR", path(layout.experiment_state(id))),
            ("BIJ_PROGRESS", path(layout.progress(id))),
            ("BIJ_STOP_FILE", path(layout.stop_file(id))),
            ("INVOCATION_ID", self.invocation.to_string().into()),
            ("NOTIFY_SOCKET", self.notify_socket.clone()),
        ]);
        if let Some(cause) = opened.before.last_cause {
            own.insert("BIJ_LAST_CAUSE", cause.as_str().into());
        }
        if let Some(checkpoint) = &self.resume_from {
            own.insert("BIJ_RESUME_FROM", checkpoint.into());
        }
        if let Some(config) = &spec.config {
            own.insert("BIJ_CONFIG", config.into());
        }
        if let Some(watchdog) = spec.health.watchdog.filter(|span| !span.is_zero()) {
            own.insert("WATCHDOG_USEC", watchdog.as_micros().to_string().into());
        }
        own
    }
}
