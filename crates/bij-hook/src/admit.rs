//! `bij-hook start`, first part: whether the unit may start now.
//!
//! A coordinator decides. Without one (its unit is stopped or not enabled) every unit may start, within
//! systemd's own limits. If a coordinator runs, or is coming back, and does not answer, the start is deferred:
//! it is recorded on disk, and the coordinator queues it. A start that cannot be deferred fails with an error.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bij_api::{Client, ClientError, RefusalKind};
use bij_core::request::{Admission, AdmissionRequest};
use bij_core::{ExperimentId, InvocationId, TimeSpan, error_chain};
use bij_host::{HostContext, uptime};
use bij_systemd::experiment::ServiceState;
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::{Systemd, deferred_start};

/// Time after which a killed coordinator is running again (`RestartSec=` of its unit).
const RESTART_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Time for an answer. At boot all enabled units ask at once, on a board that is busy starting. A coordinator that
/// hangs is killed earlier by its watchdog (`WatchdogSec=` of its unit).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);

pub(crate) const COORDINATOR: &str = "brain-experiment-coordinator.service";
/// Directory of the link that enables the coordinator (`[Install]` of its unit).
const WANTED_BY: &str = "brain-experiment.target.wants";

/// Why a unit does not start now.
#[derive(Debug, Error)]
pub enum NotAdmitted {
    /// The run is queued, deferred, or over. This is no failure.
    #[error("not now: {text}")]
    NotNow {
        /// The reasons, and where the run is.
        text: String,
    },
    /// The coordinator did not decide, and the start cannot be deferred.
    #[error("the coordinator cannot decide ({why}), and the start cannot be deferred")]
    NotDeferred {
        /// Why the coordinator did not decide.
        why: String,
        /// Why the start cannot be written to disk.
        #[source]
        source: std::io::Error,
    },
}

/// Asks the coordinator of this machine, or of this user, whether a unit may start now.
///
/// # Errors
/// [`NotAdmitted`] if it may not.
pub fn admit(
    host: &HostContext,
    manager: &Systemd,
    id: &ExperimentId,
    invocation: Option<InvocationId>,
) -> Result<(), NotAdmitted> {
    ask_until_decided(host, manager, id, invocation)?;
    // This start makes a deferred one of the same experiment obsolete.
    if let Err(error) = deferred_start::remove(host, id) {
        log::warn!("cannot remove the deferred start of {id}: {error}");
    }
    Ok(())
}

fn ask_until_decided(
    host: &HostContext,
    manager: &Systemd,
    id: &ExperimentId,
    invocation: Option<InvocationId>,
) -> Result<(), NotAdmitted> {
    let layout = host.layout();
    let sockets = [layout.owners_socket(), layout.coordinator_socket()];
    // The usual case on a machine without a coordinator, so do not build a runtime for it.
    if !sockets.iter().any(|socket| socket.exists()) && !is_expected(host) {
        log_no_coordinator(id);
        return Ok(());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return defer(host, id, format!("cannot build a runtime: {error}")),
    };
    let started = Instant::now();
    loop {
        let error = match ask(&runtime, &sockets, id, invocation) {
            Ok(admission) => return apply_admission(host, id, admission),
            Err(error) => error,
        };
        match next_step(&error, || manager.coordinator_state().ok(), started.elapsed()) {
            UndecidedStart::Start => {
                log_no_coordinator(id);
                return Ok(());
            }
            UndecidedStart::Retry => std::thread::sleep(RETRY_INTERVAL),
            UndecidedStart::Defer => {
                let why = match &error {
                    ClientError::Refused(refusal) => refusal.text.clone(),
                    error => format!("the coordinator does not answer: {}", error_chain(error)),
                };
                return defer(host, id, why);
            }
        }
    }
}

/// Asks over the owner's socket, which other users cannot flood; an older coordinator has only the other socket.
fn ask(
    runtime: &Runtime,
    sockets: &[PathBuf; 2],
    id: &ExperimentId,
    invocation: Option<InvocationId>,
) -> Result<Admission, ClientError> {
    let [owner, public] = sockets;
    runtime.block_on(async {
        let connected = match Client::connect(owner).await {
            Err(ClientError::NoCoordinator) => Client::connect(public).await,
            connected => connected,
        };
        let client = connected?.with_timeout(ANSWER_TIMEOUT);
        let until = uptime().unwrap_or_default() + TimeSpan::from(ANSWER_TIMEOUT);
        let request = AdmissionRequest {
            until: Some(until.as_micros()),
            invocation: invocation.map(|invocation| invocation.to_string()),
            ..AdmissionRequest::default()
        };
        client.admit(id, &request).await
    })
}

/// What to do with a start that the coordinator did not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UndecidedStart {
    /// Start the unit: there is no coordinator.
    Start,
    /// Ask again: the coordinator is starting or stopping.
    Retry,
    /// Leave the decision to the coordinator, which is there but does not answer.
    Defer,
}

/// Decides what to do after an error of the coordinator. `unit` returns the state of the coordinator's unit, `None`
/// if the service manager cannot be asked; it is called only if the state matters.
fn next_step(
    error: &ClientError,
    unit: impl FnOnce() -> Option<ServiceState>,
    waited: Duration,
) -> UndecidedStart {
    let is_temporary = match error {
        ClientError::NoCoordinator
        | ClientError::NotListening
        // It was killed during its answer, or before it listened again.
        | ClientError::Unreachable(_) => true,
        // It is about to stop or to restart.
        ClientError::Refused(refusal) => refusal.kind == RefusalKind::Trouble,
        // It runs, and asking again would not help.
        _ => false,
    };
    if !is_temporary {
        return UndecidedStart::Defer;
    }
    let has_no_listener = matches!(error, ClientError::NoCoordinator | ClientError::NotListening);
    match unit() {
        Some(ServiceState::Stopped) if has_no_listener => UndecidedStart::Start,
        Some(ServiceState::Failed) => UndecidedStart::Defer,
        _ if waited < RESTART_TIMEOUT => UndecidedStart::Retry,
        _ => UndecidedStart::Defer,
    }
}

/// Returns whether the coordinator is enabled, or its unit is in use although it is not enabled.
fn is_expected(host: &HostContext) -> bool {
    let (layout, root) = (host.layout(), host.root());
    let runtime = layout.runtime().parent().unwrap_or(root);
    let manager = if host.is_user() { "user" } else { "system" };
    // systemd.unit(5), "UNIT FILE LOAD PATH".
    let mut directories = vec![
        root.join("etc/systemd").join(manager),
        runtime.join("systemd").join(manager),
        root.join("usr/lib/systemd").join(manager),
    ];
    if host.is_user() {
        let definitions = layout.definitions();
        directories.extend(definitions.ancestors().nth(2).map(|home| home.join("systemd/user")));
    }
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let is_enabled = |directory: &PathBuf| is_there(&directory.join(WANTED_BY).join(COORDINATOR));
    // The manager keeps a link there for each unit in use, for journald.
    let in_use = runtime.join("systemd/units").join(format!("invocation:{COORDINATOR}"));
    directories.iter().any(is_enabled) || is_there(&in_use)
}

fn defer(host: &HostContext, id: &ExperimentId, why: String) -> Result<(), NotAdmitted> {
    match deferred_start::keep(host, id, &why) {
        Ok(()) => {
            log::warn!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "start-kept";
                "{id} is not started: {why}; the start is deferred until the coordinator can decide"
            );
            let text = format!(
                "{why}; the start is deferred until the coordinator can decide \
                 (`systemctl status brain-experiment-coordinator`)"
            );
            Err(NotAdmitted::NotNow { text })
        }
        Err(source) => Err(NotAdmitted::NotDeferred { why, source }),
    }
}

fn apply_admission(
    host: &HostContext,
    id: &ExperimentId,
    admission: Admission,
) -> Result<(), NotAdmitted> {
    let Admission { admitted, run, text, waiting_on, unrecorded } = admission;
    let mut reasons: Vec<String> = text.into_iter().collect();
    for gate in waiting_on {
        // The text may name the gates already.
        if !reasons.iter().any(|reason| reason.contains(&*gate.text)) {
            reasons.push(gate.text.to_string());
        }
    }
    let reasons = reasons.join("; ");
    if admitted {
        if !reasons.is_empty() {
            log::info!(BIJ_EXPERIMENT:% = id, BIJ_EVENT = "admitted"; "{id} may start: {reasons}");
        }
        return Ok(());
    }
    if unrecorded {
        return defer(host, id, reasons);
    }
    let queued = run.map(|run| format!(" (`bij why {id}#{run}`)")).unwrap_or_default();
    Err(NotAdmitted::NotNow { text: format!("{reasons}{queued}") })
}

fn log_no_coordinator(id: &ExperimentId) {
    log::debug!(
        BIJ_EXPERIMENT:% = id, BIJ_EVENT = "admitted";
        "{id} may start: there is no coordinator"
    );
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use bij_api::Refusal;
    use bij_core::request::WaitReason;
    use bij_core::{RunNumber, Timestamp};

    use super::*;

    fn id() -> ExperimentId {
        ExperimentId::new("x").unwrap()
    }

    fn gate(gate: &str, text: &str) -> WaitReason {
        WaitReason {
            gate: gate.into(),
            need: None,
            have: None,
            since: Timestamp::from_micros(0),
            text: text.into(),
        }
    }

    #[test]
    fn a_start_that_could_not_be_queued_is_deferred() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        let admission = Admission {
            admitted: false,
            run: None,
            text: Some("it could not be queued: the database is busy".to_owned()),
            waiting_on: Vec::new(),
            unrecorded: true,
        };
        let no = apply_admission(&host, &id(), admission).unwrap_err();
        assert!(no.to_string().contains("the start is deferred"), "{no}");
        assert_eq!(deferred_start::list(&host), [id()]);
    }

    #[test]
    fn not_admitted_names_each_reason_once_and_the_command_to_ask() {
        let admission = Admission {
            admitted: false,
            run: Some(RunNumber(3)),
            text: Some("4 of 4 slots are taken".to_owned()),
            waiting_on: vec![
                gate("slots", "4 of 4 slots are taken"),
                gate("hold", "held by alice"),
            ],
            unrecorded: false,
        };
        let no =
            apply_admission(&HostContext::system(Path::new("/")), &id(), admission).unwrap_err();
        let expected = "not now: 4 of 4 slots are taken; held by alice (`bij why x#3`)";
        assert_eq!(no.to_string(), expected);
    }

    /// Each error of the coordinator with each state of its unit, before and after the time-out.
    #[test]
    fn a_unit_starts_without_a_decision_only_if_there_is_no_coordinator() {
        use ServiceState::{Failed, Stopped, Up};
        let lost = || ClientError::Unreachable("connection reset".into());
        let refused = |kind| ClientError::Refused(Refusal::new(kind, "no"));
        let late = || ClientError::Late { after: ANSWER_TIMEOUT };
        let (first, later) = (Duration::ZERO, RESTART_TIMEOUT);
        for (error, unit, waited, expected) in [
            (ClientError::NoCoordinator, Some(Stopped), first, UndecidedStart::Start),
            (ClientError::NotListening, Some(Stopped), first, UndecidedStart::Start),
            (ClientError::NoCoordinator, Some(Up), first, UndecidedStart::Retry),
            (ClientError::NotListening, Some(Up), first, UndecidedStart::Retry),
            (ClientError::NoCoordinator, Some(Up), later, UndecidedStart::Defer),
            (ClientError::NotListening, Some(Up), later, UndecidedStart::Defer),
            (ClientError::NotListening, Some(Failed), first, UndecidedStart::Defer),
            (ClientError::NoCoordinator, None, first, UndecidedStart::Retry),
            (ClientError::NoCoordinator, None, later, UndecidedStart::Defer),
            (lost(), Some(Up), first, UndecidedStart::Retry),
            (lost(), Some(Stopped), first, UndecidedStart::Retry),
            (lost(), Some(Stopped), later, UndecidedStart::Defer),
            (refused(RefusalKind::Trouble), Some(Up), first, UndecidedStart::Retry),
            (refused(RefusalKind::Trouble), Some(Up), later, UndecidedStart::Defer),
            (refused(RefusalKind::Store), Some(Up), first, UndecidedStart::Defer),
            (refused(RefusalKind::Store), Some(Stopped), first, UndecidedStart::Defer),
            (refused(RefusalKind::Denied), Some(Up), first, UndecidedStart::Defer),
            (late(), Some(Up), first, UndecidedStart::Defer),
            (late(), Some(Stopped), later, UndecidedStart::Defer),
        ] {
            let step = next_step(&error, || unit, waited);
            assert_eq!(step, expected, "{error:?}, {unit:?}, {waited:?}");
        }
    }

    #[test]
    fn without_a_coordinator_every_unit_may_start() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        assert!(admit(&host, &Systemd::new(&host), &id(), None).is_ok());
    }

    #[test]
    fn an_enabled_coordinator_is_expected() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        let wants = root.path().join("etc/systemd/system").join(WANTED_BY);
        std::fs::create_dir_all(&wants).unwrap();
        assert!(!is_expected(&host));
        symlink("/usr/lib/systemd/system/x", wants.join(COORDINATOR)).unwrap();
        assert!(is_expected(&host));
    }

    #[test]
    fn a_start_that_cannot_be_deferred_fails() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        assert!(matches!(defer(&host, &id(), "why".to_owned()), Err(NotAdmitted::NotNow { .. })));
        std::fs::remove_dir_all(host.layout().runtime()).unwrap();
        std::fs::write(host.layout().runtime(), "").unwrap();
        let error = defer(&host, &id(), "why".to_owned()).unwrap_err();
        assert!(matches!(error, NotAdmitted::NotDeferred { .. }), "{error}");
    }
}
