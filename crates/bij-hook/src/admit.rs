//! `bij-hook start`, first part: may the unit start now?
//!
//! Where there is a coordinator its answer counts. Where there is none (its unit is stopped or not
//! enabled) everything may start: systemd's own limits hold. A coordinator that is there, or coming
//! back, and does not answer is no yes: the start is kept on the disk, and the coordinator takes it
//! into the queue. A start that cannot even be kept fails aloud.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bij_api::message::{Admission, AdmissionRequest};
use bij_api::{Client, ClientError, RefusalKind};
use bij_core::{ExperimentId, InvocationId, error_chain};
use bij_host::{HostContext, uptime};
use bij_systemd::ServiceState;
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::{Systemd, deferred_start};

/// A coordinator that was killed is back by then (`RestartSec=` of its unit).
const COMES_BACK_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// At boot all that is enabled asks at once, and a slow board has everything else to do as well. One
/// that hangs is killed by its watchdog before that (`WatchdogSec=` of its unit).
const ANSWERS_WITHIN: Duration = Duration::from_secs(45);

pub(crate) const COORDINATOR: &str = "brain-experiment-coordinator.service";
/// What the coordinator is enabled by (`[Install]` of its unit).
const WANTED_BY: &str = "brain-experiment.target.wants";

/// Why a unit does not start now.
#[derive(Debug, Error)]
pub enum NotAdmitted {
    /// The run is queued, kept to be queued, or over: no failure.
    #[error("not now: {text}")]
    NotNow {
        /// Why.
        text: String,
    },
    /// The coordinator cannot be asked, and the start cannot be kept for it.
    #[error("the coordinator cannot be asked ({why}), and the start cannot be kept for it")]
    NotKept {
        /// Why it cannot be asked.
        why: String,
        /// Why it cannot be kept.
        #[source]
        source: std::io::Error,
    },
}

/// Asks the coordinator of this machine, or of this user, whether a unit may start now.
///
/// # Errors
/// [`NotAdmitted`] unless it may.
pub fn admit(
    host: &HostContext,
    manager: &Systemd,
    id: &ExperimentId,
    invocation: Option<InvocationId>,
) -> Result<(), NotAdmitted> {
    may_start(host, manager, id, invocation)?;
    // What was kept of an earlier start is this one: it is not to come a second time.
    if let Err(error) = deferred_start::forget(host, id) {
        log::warn!("the start of {id} that was kept cannot be forgotten: {error}");
    }
    Ok(())
}

fn may_start(
    host: &HostContext,
    manager: &Systemd,
    id: &ExperimentId,
    invocation: Option<InvocationId>,
) -> Result<(), NotAdmitted> {
    let layout = host.layout();
    let sockets = [layout.owners_socket(), layout.coordinator_socket()];
    // The usual case on a machine without a coordinator, and not worth a runtime.
    if !sockets.iter().any(|socket| socket.exists()) && !is_expected(host) {
        log_alone(id);
        return Ok(());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return keep(host, id, format!("no runtime can be made: {error}")),
    };
    let begun = Instant::now();
    loop {
        let error = match ask(&runtime, &sockets, id, invocation) {
            Ok(admission) => return heed(host, id, admission),
            Err(error) => error,
        };
        match next(&error, || manager.coordinator_state().ok(), begun.elapsed()) {
            Next::Start => {
                log_alone(id);
                return Ok(());
            }
            Next::AskAgain => std::thread::sleep(ASK_AGAIN_AFTER),
            Next::Keep => {
                let why = match &error {
                    ClientError::Refused(refusal) => refusal.text.clone(),
                    error => format!("the coordinator does not answer: {}", error_chain(error)),
                };
                return keep(host, id, why);
            }
        }
    }
}

/// By the owner's socket, which no one else can fill; an older coordinator has only the other one.
fn ask(
    runtime: &Runtime,
    sockets: &[PathBuf; 2],
    id: &ExperimentId,
    invocation: Option<InvocationId>,
) -> Result<Admission, ClientError> {
    let [owners, everyones] = sockets;
    runtime.block_on(async {
        let connected = match Client::connect(owners).await {
            Err(ClientError::NoCoordinator) => Client::connect(everyones).await,
            connected => connected,
        };
        let client = connected?.with_timeout(ANSWERS_WITHIN);
        let patience = u64::try_from(ANSWERS_WITHIN.as_micros()).unwrap_or(u64::MAX);
        let until = uptime().unwrap_or_default().as_micros().saturating_add(patience);
        let request = AdmissionRequest {
            until: Some(until),
            invocation: invocation.map(|invocation| invocation.to_string()),
            ..AdmissionRequest::default()
        };
        client.admit(id, &request).await
    })
}

/// What to do without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// There is no coordinator.
    Start,
    /// It is coming back, or going away.
    AskAgain,
    /// There is one: the start is its to judge.
    Keep,
}

/// Decides without an answer; `unit` is asked for the state of the coordinator's unit only where that
/// counts, and knows none where the service manager cannot be asked.
fn next(
    error: &ClientError,
    unit: impl FnOnce() -> Option<ServiceState>,
    waited: Duration,
) -> Next {
    let may_pass = match error {
        ClientError::NoCoordinator
        | ClientError::NotListening
        // It was killed in the midst of its answer, or before it listened again.
        | ClientError::Unreachable(_) => true,
        // It is about to end: by an order, or to be started anew.
        ClientError::Refused(refusal) => refusal.kind == RefusalKind::Trouble,
        // It is there, and so it stays.
        _ => false,
    };
    if !may_pass {
        return Next::Keep;
    }
    let nobody_listens = matches!(error, ClientError::NoCoordinator | ClientError::NotListening);
    match unit() {
        Some(ServiceState::Stopped) if nobody_listens => Next::Start,
        Some(ServiceState::Failed) => Next::Keep,
        _ if waited < COMES_BACK_WITHIN => Next::AskAgain,
        _ => Next::Keep,
    }
}

/// Whether the coordinator is enabled, or its unit is in use although it is not.
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
    // Of each unit in use the manager keeps the invocation id there, for journald.
    let in_use = runtime.join("systemd/units").join(format!("invocation:{COORDINATOR}"));
    directories.iter().any(is_enabled) || is_there(&in_use)
}

fn keep(host: &HostContext, id: &ExperimentId, why: String) -> Result<(), NotAdmitted> {
    match deferred_start::keep(host, id, &why) {
        Ok(()) => {
            log::warn!(
                BIJ_EXPERIMENT:% = id, BIJ_EVENT = "start-kept";
                "{id} does not start: {why}; the coordinator finds the start on the disk"
            );
            let text = format!(
                "{why}; the start is kept, and judged as soon as the coordinator can \
                 (`systemctl status brain-experiment-coordinator`)"
            );
            Err(NotAdmitted::NotNow { text })
        }
        Err(source) => Err(NotAdmitted::NotKept { why, source }),
    }
}

fn heed(host: &HostContext, id: &ExperimentId, admission: Admission) -> Result<(), NotAdmitted> {
    let Admission { admitted, run, text, waiting_on, unrecorded } = admission;
    let mut reasons: Vec<String> = text.into_iter().collect();
    for gate in waiting_on {
        // The sentence may tell the gates already.
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
        return keep(host, id, reasons);
    }
    let queued = run.map(|run| format!(" (`bij why {id}#{run}`)")).unwrap_or_default();
    Err(NotAdmitted::NotNow { text: format!("{reasons}{queued}") })
}

fn log_alone(id: &ExperimentId) {
    log::debug!(
        BIJ_EXPERIMENT:% = id, BIJ_EVENT = "admitted";
        "no coordinator; {id} may start"
    );
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use bij_api::Refusal;
    use bij_api::message::Waiting;
    use bij_core::{RunNumber, Timestamp};

    use super::*;

    fn id() -> ExperimentId {
        ExperimentId::new("x").unwrap()
    }

    fn gate(gate: &str, text: &str) -> Waiting {
        Waiting {
            gate: gate.into(),
            need: None,
            have: None,
            since: Timestamp::from_micros(0),
            text: text.into(),
        }
    }

    #[test]
    fn a_start_that_could_not_be_queued_is_kept_on_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        let admission = Admission {
            admitted: false,
            run: None,
            text: Some("it could not be queued: the database is busy".to_owned()),
            waiting_on: Vec::new(),
            unrecorded: true,
        };
        let no = heed(&host, &id(), admission).unwrap_err();
        assert!(no.to_string().contains("the start is kept"), "{no}");
        assert_eq!(deferred_start::kept(&host), [id()]);
    }

    #[test]
    fn a_no_tells_every_reason_once_and_where_to_look() {
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
        let no = heed(&HostContext::system(Path::new("/")), &id(), admission).unwrap_err();
        let expected = "not now: 4 of 4 slots are taken; held by alice (`bij why x#3`)";
        assert_eq!(no.to_string(), expected);
    }

    /// Each silence of the coordinator against each state of its unit, at first and at last.
    #[test]
    fn nothing_starts_without_an_answer_but_where_there_is_no_coordinator() {
        use ServiceState::{Failed, Stopped, Up};
        let lost = || ClientError::Unreachable("connection reset".into());
        let refused = |kind| ClientError::Refused(Refusal::new(kind, "no"));
        let silent = || ClientError::Late { after: ANSWERS_WITHIN };
        let (first, later) = (Duration::ZERO, COMES_BACK_WITHIN);
        for (error, unit, waited, expected) in [
            (ClientError::NoCoordinator, Some(Stopped), first, Next::Start),
            (ClientError::NotListening, Some(Stopped), first, Next::Start),
            (ClientError::NoCoordinator, Some(Up), first, Next::AskAgain),
            (ClientError::NotListening, Some(Up), first, Next::AskAgain),
            (ClientError::NoCoordinator, Some(Up), later, Next::Keep),
            (ClientError::NotListening, Some(Up), later, Next::Keep),
            (ClientError::NotListening, Some(Failed), first, Next::Keep),
            (ClientError::NoCoordinator, None, first, Next::AskAgain),
            (ClientError::NoCoordinator, None, later, Next::Keep),
            (lost(), Some(Up), first, Next::AskAgain),
            (lost(), Some(Stopped), first, Next::AskAgain),
            (lost(), Some(Stopped), later, Next::Keep),
            (refused(RefusalKind::Trouble), Some(Up), first, Next::AskAgain),
            (refused(RefusalKind::Trouble), Some(Up), later, Next::Keep),
            (refused(RefusalKind::Store), Some(Up), first, Next::Keep),
            (refused(RefusalKind::Store), Some(Stopped), first, Next::Keep),
            (refused(RefusalKind::Denied), Some(Up), first, Next::Keep),
            (silent(), Some(Up), first, Next::Keep),
            (silent(), Some(Stopped), later, Next::Keep),
        ] {
            assert_eq!(next(&error, || unit, waited), expected, "{error:?}, {unit:?}, {waited:?}");
        }
    }

    #[test]
    fn without_a_coordinator_everything_may_start() {
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
    fn a_start_that_cannot_be_kept_fails_aloud() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        assert!(matches!(keep(&host, &id(), "why".to_owned()), Err(NotAdmitted::NotNow { .. })));
        std::fs::remove_dir_all(host.layout().runtime()).unwrap();
        std::fs::write(host.layout().runtime(), "").unwrap();
        let error = keep(&host, &id(), "why".to_owned()).unwrap_err();
        assert!(matches!(error, NotAdmitted::NotKept { .. }), "{error}");
    }
}
