//! Writes events as lines of the journal, with fields, and with explanations in its catalog; reports a summary to the
//! service manager.

use std::time::Duration;

use bij_coordinator::thermal::ThermalDecision;
use bij_coordinator::{Handle, Ports};
use bij_core::queue::{Event, EventKind};
use bij_core::request::CoordinatorStatus;
use bij_host::ServiceNotify;
use log::{Level, Record};
use tokio::sync::watch;
use tokio::time::timeout;

/// Ids of the explanations in `brain-in-jar.catalog`, which `journalctl -x` shows.
mod message_id {
    pub(super) const STARTED: &str = "08f509ee06a146e0af791b50fd870a60";
    pub(super) const ADMITTED: &str = "de510463da944ab887e872602f6355e4";
    pub(super) const START_SKIPPED: &str = "2c0603e5dd8a49fd8e7a28aec97b3231";
    pub(super) const RUN_ENDED: &str = "b11fd2c333e748f88bbe161a8f3f87dc";
    pub(super) const ACTION_FAILED: &str = "a69a121115824b409ede1f37d58d716d";
    pub(super) const PAUSED: &str = "0343758838c9496bb4d682d42e8cda7f";
    pub(super) const HELD: &str = "e6e90e19401f4c7495063ed7b74c7c0e";
    pub(super) const HEAT: &str = "52d2ee1e6a3a4ba7b6d4a2a1c0f3e58b";
    pub(super) const HEALTH: &str = "3213c2d61d3c4944b11f8a3bdcdd552b";
}

/// Id of the explanation for settings that could not be read.
pub(super) const SETTINGS_REFUSED: &str = "d17043f73d214bd4a639843da5279111";

/// Returns the log level of an event, and the id of its explanation; `None` if the hooks or thermal control have
/// logged it already.
fn level_and_explanation(kind: EventKind) -> Option<(Level, Option<&'static str>)> {
    Some(match kind {
        EventKind::AttemptBegun | EventKind::AttemptEnded | EventKind::Heat => return None,
        // There may be ten thousand at once, and the queue shows them.
        EventKind::Submitted | EventKind::Edited | EventKind::Moved => (Level::Debug, None),
        EventKind::Held => (Level::Info, Some(message_id::HELD)),
        EventKind::Admitted => (Level::Info, Some(message_id::ADMITTED)),
        EventKind::RunEnded => (Level::Info, Some(message_id::RUN_ENDED)),
        EventKind::StartSkipped => (Level::Info, Some(message_id::START_SKIPPED)),
        EventKind::ActionFailed => (Level::Warn, Some(message_id::ACTION_FAILED)),
        EventKind::Paused => (Level::Info, Some(message_id::PAUSED)),
        EventKind::QueueLost => (Level::Error, None),
        EventKind::Health => (Level::Warn, Some(message_id::HEALTH)),
        EventKind::CoordinatorStarted => (Level::Info, Some(message_id::STARTED)),
        _ => (Level::Info, None),
    })
}

/// Writes a decision of thermal control to the journal at once, because its event may have to wait for the store.
pub(super) fn log_thermal_decision(ThermalDecision { action, reason }: &ThermalDecision) {
    let level = if action.is_lift() { Level::Info } else { Level::Warn };
    let experiment = action.experiment().map(ToString::to_string);
    let fields: Vec<(&str, &str)> = [
        ("BIJ_EVENT", Some(EventKind::Heat.as_str())),
        ("BIJ_EXPERIMENT", experiment.as_deref()),
        ("MESSAGE_ID", Some(message_id::HEAT)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    write_line(level, &fields, &format!("{reason}: {action}"));
}

fn write_line(level: Level, fields: &[(&str, &str)], text: &str) {
    log::logger().log(
        &Record::builder()
            .level(level)
            .target(module_path!())
            .key_values(&fields)
            .args(format_args!("{text}"))
            .build(),
    );
}

/// Writes an event to the journal.
pub(super) fn log_event(event: &Event) {
    let Some((level, message_id)) = level_and_explanation(event.kind) else { return };
    if level > log::max_level() {
        return;
    }
    let text = text(event);
    let (experiment, run, attempt) = (
        event.experiment.as_ref().map(ToString::to_string),
        run(event),
        event.attempt.map(|attempt| attempt.to_string()),
    );
    let fields: Vec<(&str, &str)> = [
        ("BIJ_EVENT", Some(event.kind.as_str())),
        ("BIJ_EXPERIMENT", experiment.as_deref()),
        ("BIJ_RUN", run.as_deref()),
        ("BIJ_ATTEMPT", attempt.as_deref()),
        ("MESSAGE_ID", message_id),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    write_line(level, &fields, &text);
}

fn run(event: &Event) -> Option<String> {
    Some(format!("{}#{}", event.experiment.as_ref()?, event.run?))
}

/// Returns the event as a line: the run or experiment, the kind, and the data.
fn text(event: &Event) -> String {
    let mut text = match (run(event), &event.experiment) {
        (Some(run), _) => format!("{run}: {}", event.kind),
        (None, Some(experiment)) => format!("{experiment}: {}", event.kind),
        (None, None) => event.kind.to_string(),
    };
    for (key, value) in &event.data {
        // A text needs no name.
        let more = if key == "text" { format!(": {value}") } else { format!(", {key} {value}") };
        text.push_str(&more);
    }
    text
}

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bij_core::{RunNumber, Timestamp};

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            seq: 1,
            at: Timestamp::from_micros(0),
            kind: EventKind::StartSkipped,
            experiment: Some("x".parse().unwrap()),
            run: Some(RunNumber(3)),
            attempt: None,
            data: BTreeMap::from([
                ("by".to_owned(), "systemctl start".to_owned()),
                ("text".to_owned(), "4 of 4 slots are taken".to_owned()),
            ]),
        };
        let line = "x#3: start-skipped, by systemctl start: 4 of 4 slots are taken";
        assert_eq!(text(&event), line);
    }

    #[test]
    fn the_catalog_has_exactly_the_explanations_that_are_used() {
        let catalog =
            include_str!("../../../../units/usr/lib/systemd/catalog/brain-in-jar.catalog");
        let mut explained: Vec<&str> = catalog
            .lines()
            .filter_map(|line| line.strip_prefix("-- ")?.split(' ').next())
            .collect();
        let mut used: Vec<&str> = EventKind::ALL
            .iter()
            .filter_map(|kind| level_and_explanation(*kind)?.1)
            .chain([SETTINGS_REFUSED, message_id::HEAT])
            .collect();
        explained.sort_unstable();
        used.sort_unstable();
        assert_eq!(used, explained);
    }
}
