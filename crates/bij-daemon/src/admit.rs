//! `bij-hook admit`: may it start now?

use std::path::Path;
use std::time::Duration;

use bij_api::message::{Admission, AdmissionRequest};
use bij_api::{Client, ClientError};
use bij_coordinator::Clock as _;
use bij_core::ExperimentId;
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::coordinator::SystemClock;
use crate::{Place, chain};

/// A coordinator that was killed is back by then (`RestartSec=` of its unit).
const COMES_BACK_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// At boot all that is enabled asks at once, and a slow board has everything else to do as well. One
/// that hangs is killed by its watchdog before that (`WatchdogSec=` of its unit).
const ANSWERS_WITHIN: Duration = Duration::from_secs(45);

/// Why a unit does not start now. It is no failure: the run is queued, or over.
#[derive(Debug, Error)]
#[error("not now: {text}")]
pub struct NotNow {
    text: String,
}

/// Asks whoever admits experiments on this machine.
///
/// Without a coordinator nobody queues and everything may start: systemd's own limits hold. One that
/// was killed has left its socket and is waited for; one that does not come back, or cannot answer,
/// must not keep experiments from running, so the answer is yes then, and the journal says why.
///
/// # Errors
/// [`NotNow`] if the coordinator says no.
pub fn admit(place: &Place, id: &ExperimentId) -> Result<(), NotNow> {
    let socket = place.layout().coordinator_socket();
    // The usual case on a machine without a coordinator, and not worth a runtime.
    if !socket.exists() {
        log_alone(id);
        return Ok(());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log_unasked(id, &error);
            return Ok(());
        }
    };
    decide(id, || ask(&runtime, &socket, id), std::thread::sleep)
}

fn ask(runtime: &Runtime, socket: &Path, id: &ExperimentId) -> Result<Admission, ClientError> {
    runtime.block_on(async {
        let client = Client::connect(socket).await?.with_timeout(ANSWERS_WITHIN);
        let patience = u64::try_from(ANSWERS_WITHIN.as_micros()).unwrap_or(u64::MAX);
        let until = SystemClock.now().uptime.as_micros().saturating_add(patience);
        let request = AdmissionRequest { until: Some(until), ..AdmissionRequest::default() };
        client.admit(id, &request).await
    })
}

/// Asks as often as it makes sense.
fn decide(
    id: &ExperimentId,
    mut ask: impl FnMut() -> Result<Admission, ClientError>,
    mut pause: impl FnMut(Duration),
) -> Result<(), NotNow> {
    let mut waited = Duration::ZERO;
    loop {
        let error = match ask() {
            Ok(admission) => return heed(id, admission),
            Err(ClientError::NoCoordinator) => {
                log_alone(id);
                return Ok(());
            }
            // It was killed before it listened again, or in the midst of its answer.
            Err(error @ (ClientError::NotListening | ClientError::Unreachable(_))) => error,
            Err(error) => {
                log_unasked(id, &error);
                return Ok(());
            }
        };
        if waited >= COMES_BACK_WITHIN {
            log_unasked(id, &error);
            return Ok(());
        }
        pause(ASK_AGAIN_AFTER);
        waited += ASK_AGAIN_AFTER;
    }
}

fn heed(id: &ExperimentId, admission: Admission) -> Result<(), NotNow> {
    let Admission { admitted, run, text, waiting_on } = admission;
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
    let queued = run.map(|run| format!(" (`bij why {id}#{run}`)")).unwrap_or_default();
    Err(NotNow { text: format!("{reasons}{queued}") })
}

fn log_alone(id: &ExperimentId) {
    log::debug!(
        BIJ_EXPERIMENT:% = id, BIJ_EVENT = "admitted";
        "no coordinator; {id} may start"
    );
}

fn log_unasked(id: &ExperimentId, error: &(dyn std::error::Error + 'static)) {
    log::warn!(
        BIJ_EXPERIMENT:% = id, BIJ_EVENT = "admitted";
        "{id} starts without being let: {}", chain(error)
    );
}

#[cfg(test)]
mod tests {
    use bij_api::message::Waiting;
    use bij_api::{Refusal, RefusalKind};
    use bij_core::{RunNumber, Timestamp};

    use super::*;

    fn id() -> ExperimentId {
        ExperimentId::new("x").unwrap()
    }

    fn admission(admitted: bool) -> Admission {
        let gate = |gate: &str, text: &str| Waiting {
            gate: gate.into(),
            need: None,
            have: None,
            since: Timestamp::from_micros(0),
            text: text.into(),
        };
        let waiting_on = if admitted {
            Vec::new()
        } else {
            vec![gate("slots", "4 of 4 slots are taken"), gate("hold", "held by alice")]
        };
        let text = (!admitted).then(|| "4 of 4 slots are taken".to_owned());
        Admission { admitted, run: Some(RunNumber(3)), text, waiting_on }
    }

    /// What is decided over these answers, and how long it was waited.
    fn decided(answers: Vec<Result<Admission, ClientError>>) -> (Result<(), String>, Duration) {
        let mut answers = answers.into_iter();
        let mut waited = Duration::ZERO;
        let ask = || answers.next().unwrap_or(Err(ClientError::NotListening));
        let decided = decide(&id(), ask, |pause| waited += pause);
        (decided.map_err(|no| no.to_string()), waited)
    }

    #[test]
    fn a_no_tells_every_reason_once_and_where_to_look() {
        let (no, _) = decided(vec![Ok(admission(false))]);
        let expected = "not now: 4 of 4 slots are taken; held by alice (`bij why x#3`)";
        assert_eq!(no.unwrap_err(), expected);
    }

    #[test]
    fn a_killed_coordinator_is_waited_for() {
        let died = || Err(ClientError::Unreachable("connection reset".into()));
        let (no, waited) =
            decided(vec![died(), Err(ClientError::NotListening), Ok(admission(false))]);
        assert!(no.is_err());
        assert_eq!(waited, ASK_AGAIN_AFTER * 2);
    }

    #[test]
    fn who_cannot_be_asked_keeps_nobody_from_starting() {
        let (yes, waited) = decided(Vec::new());
        assert_eq!((yes, waited), (Ok(()), COMES_BACK_WITHIN), "it does not come back");
        let refusal = Refusal::new(RefusalKind::Trouble, "it is going down");
        let late = ClientError::Late { after: ANSWERS_WITHIN };
        for error in [ClientError::Refused(refusal), late, ClientError::NoCoordinator] {
            assert_eq!(decided(vec![Err(error)]), (Ok(()), Duration::ZERO));
        }
        assert_eq!(decided(vec![Ok(admission(true))]).0, Ok(()));
    }

    #[test]
    fn without_a_socket_everything_may_start() {
        let root = tempfile::tempdir().unwrap();
        assert!(admit(&Place::system(root.path()), &id()).is_ok());
    }
}
