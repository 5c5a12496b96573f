//! Tells of events: the journal each of them, the service manager the sum.

use std::time::Duration;

use bij_coordinator::{Handle, Ports, Status};
use bij_core::queue::Event;
use bij_host::ServiceNotify;
use tokio::sync::watch;
use tokio::time::timeout;

use super::journal::log_event;

/// How often it is looked whether something does not work, or works again: no event tells of it.
const LOOKS_EVERY: Duration = Duration::from_secs(10);
const LOOKS_IN_TROUBLE_EVERY: Duration = Duration::from_secs(2);

/// So many events are read at once.
const AT_ONCE: usize = 500;

/// Tells of every event from now on, until the loop ends.
pub(super) async fn tell_events<P: Ports>(
    handle: &Handle<P>,
    mut newest: watch::Receiver<u64>,
    notify: &ServiceNotify,
) {
    // That it has come up is the newest event, and is told as well.
    let mut told = newest.borrow_and_update().saturating_sub(1);
    let mut troubles: Vec<String> = Vec::new();
    let mut shown = String::new();
    loop {
        let Ok(status) = tell_since(handle, &mut told).await else { return };
        for trouble in status.troubles.iter().filter(|trouble| !troubles.contains(trouble)) {
            log::warn!("{trouble}");
        }
        let line = line(&status);
        if line != shown {
            notify.status(&line);
            shown = line;
        }
        troubles = status.troubles;
        let again_after = if troubles.is_empty() { LOOKS_EVERY } else { LOOKS_IN_TROUBLE_EVERY };
        if let Ok(Err(_)) = timeout(again_after, newest.changed()).await {
            return;
        }
    }
}

async fn tell_since<P: Ports>(handle: &Handle<P>, told: &mut u64) -> Result<Status, ()> {
    loop {
        let (newest, loaded) = handle
            .ask(|coordinator, _| (coordinator.newest_event(), coordinator.loaded_event()))
            .await
            .map_err(drop)?;
        if newest < *told {
            // Another database has taken the place of the one whose events were told.
            *told = loaded;
        }
        let after = *told;
        let asked = handle.ask(move |coordinator, _| coordinator.events(after, AT_ONCE));
        // A store that cannot be read is told as a trouble; its events come when it can.
        let events: Vec<Event> = asked.await.map_err(drop)?.unwrap_or_default();
        for event in &events {
            log_event(event);
            *told = event.seq;
        }
        if events.len() < AT_ONCE {
            return handle.ask(|coordinator, _| coordinator.status()).await.map_err(drop);
        }
    }
}

/// `4 of 4 slots are taken, 26 wait, 1 is held`, and what does not work.
fn line(status: &Status) -> String {
    let Status { running, slots, waiting, held, .. } = status;
    let mut parts =
        vec![format!("{running} of {slots} slots are taken, {waiting} wait, {held} are held")];
    parts.extend(
        status.paused.as_ref().map(|pause| format!("admission was paused by {}", pause.by)),
    );
    // A line is all there is room for.
    parts.extend(status.troubles.iter().map(|trouble| trouble.replace('\n', " ")));
    parts.join("; ")
}
