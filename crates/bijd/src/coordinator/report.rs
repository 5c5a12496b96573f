//! Reports events to the journal, and a summary to the service manager.

use std::time::Duration;

use bij_coordinator::{Handle, Ports};
use bij_core::queue::Event;
use bij_core::request::CoordinatorStatus;
use bij_host::ServiceNotify;
use tokio::sync::watch;
use tokio::time::timeout;

use super::journal::log_event;

/// Interval of checks for troubles, which cause no event.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
const POLL_INTERVAL_IN_TROUBLE: Duration = Duration::from_secs(2);

/// Number of events that are read at once.
const BATCH_LEN: usize = 500;

/// Reports every event from now on, until the loop ends.
pub(super) async fn report_events<P: Ports>(
    handle: &Handle<P>,
    mut newest: watch::Receiver<u64>,
    notify: &ServiceNotify,
) {
    // The newest event is the start of the coordinator, and is also reported.
    let mut reported = newest.borrow_and_update().saturating_sub(1);
    let mut troubles: Vec<String> = Vec::new();
    let mut shown = String::new();
    loop {
        let Ok(status) = report_since(handle, &mut reported).await else { return };
        for trouble in status.troubles.iter().filter(|trouble| !troubles.contains(trouble)) {
            log::warn!("{trouble}");
        }
        let line = line(&status);
        if line != shown {
            notify.status(&line);
            shown = line;
        }
        troubles = status.troubles;
        let again_after =
            if troubles.is_empty() { POLL_INTERVAL } else { POLL_INTERVAL_IN_TROUBLE };
        if let Ok(Err(_)) = timeout(again_after, newest.changed()).await {
            return;
        }
    }
}

async fn report_since<P: Ports>(
    handle: &Handle<P>,
    reported: &mut u64,
) -> Result<CoordinatorStatus, ()> {
    loop {
        let (newest, loaded) = handle
            .ask(|coordinator, _| (coordinator.newest_event(), coordinator.loaded_event()))
            .await
            .map_err(drop)?;
        if newest < *reported {
            // The database was replaced, so that events are counted anew.
            *reported = loaded;
        }
        let after = *reported;
        let asked = handle.ask(move |coordinator, _| coordinator.events(after, BATCH_LEN));
        // An unreadable store is one of the troubles; its events are reported later.
        let events: Vec<Event> = asked.await.map_err(drop)?.unwrap_or_default();
        for event in &events {
            log_event(event);
            *reported = event.seq;
        }
        if events.len() < BATCH_LEN {
            return handle.ask(|coordinator, _| coordinator.status()).await.map_err(drop);
        }
    }
}

/// Returns a line such as `4 of 4 slots are taken, 26 wait, 1 are held`, with the troubles.
fn line(status: &CoordinatorStatus) -> String {
    let CoordinatorStatus { running, slots, waiting, held, paused_by, troubles, .. } = status;
    let of_all = slots.map_or_else(String::new, |slots| format!(" of {slots}"));
    let mut parts =
        vec![format!("{running}{of_all} slots are taken, {waiting} wait, {held} are held")];
    parts.extend(paused_by.as_ref().map(|by| format!("admission was paused by {by}")));
    // The status has one line only.
    parts.extend(troubles.iter().map(|trouble| trouble.replace('\n', " ")));
    parts.join("; ")
}
