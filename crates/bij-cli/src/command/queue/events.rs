//! `bij events`: every change of the queue.

use std::collections::VecDeque;

use bij_core::queue::Event;

use crate::args::EventsArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::queue_source::QueueWatch;
use crate::view::EventLine;

/// The number of events before those that `--follow` waits for, as in `journalctl -f`.
const EVENTS_BEFORE_FOLLOW: usize = 10;

/// Shows events, and with `--follow` continues until it is interrupted.
pub(super) async fn events(context: &Context, args: &EventsArgs) -> Result<(), CliError> {
    let mut watch = QueueWatch::start(context).await?;
    let since = args.since.unwrap_or(0);
    let has_default_count = args.follow && args.since.is_none();
    let newest = args.lines.or(has_default_count.then_some(EVENTS_BEFORE_FOLLOW));
    let mut seen = match newest {
        Some(count) => show_newest(context, &mut watch, since, count).await?,
        None => show_all(context, &mut watch, since).await?,
    };
    if !args.follow && seen == since {
        context.terminal.status("No events.");
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        watch.wait().await;
        seen = show_all(context, &mut watch, seen).await?;
    }
}

/// Shows all events after a number; returns the number of the last one.
async fn show_all(
    context: &Context,
    watch: &mut QueueWatch<'_>,
    since: u64,
) -> Result<u64, CliError> {
    let mut seen = since;
    loop {
        let events = watch.events(seen).await?;
        if events.is_empty() {
            return Ok(seen);
        }
        warn_about_gap(context, seen, &events);
        for event in events {
            seen = event.seq;
            context.terminal.show_next(&EventLine(event))?;
        }
    }
}

/// Shows the newest `count` events after a number; returns the number of the last one.
async fn show_newest(
    context: &Context,
    watch: &mut QueueWatch<'_>,
    since: u64,
    count: usize,
) -> Result<u64, CliError> {
    // If the newest number is known, the events long before it need not be read.
    let newest_event = watch.newest_event().await;
    let before = newest_event.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
    let mut seen = since.max(before);
    let mut newest: VecDeque<Event> = VecDeque::new();
    loop {
        let events = watch.events(seen).await?;
        let Some(last) = events.last() else { break };
        seen = last.seq;
        newest.extend(events);
        newest.drain(..newest.len().saturating_sub(count));
    }
    for event in newest {
        context.terminal.show_next(&EventLine(event))?;
    }
    Ok(seen)
}

/// Warns if events were removed. Events are numbered without gaps, so a missing number is a removed event.
fn warn_about_gap(context: &Context, seen: u64, events: &[Event]) {
    let Some(first) = events.first().filter(|_| seen > 0) else { return };
    let missing = first.seq.saturating_sub(seen).saturating_sub(1);
    if missing > 0 {
        context.terminal.warning(&format!("{missing} events after {seen} are no longer kept"));
    }
}
