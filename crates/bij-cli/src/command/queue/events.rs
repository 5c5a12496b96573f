//! `bij events`: what has changed, without a gap.

use std::collections::VecDeque;

use bij_api::message::Event;

use crate::args::EventsArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::source::Live;
use crate::view::EventLine;

/// As many events as `journalctl -f` begins with lines.
const BEFORE_FOLLOWING: usize = 10;

/// Shows events, and with `--follow` goes on until it is interrupted.
pub(super) async fn events(context: &Context, args: &EventsArgs) -> Result<(), CliError> {
    let mut live = Live::begin(context).await?;
    let since = args.since.unwrap_or(0);
    let newest = args.lines.or((args.follow && args.since.is_none()).then_some(BEFORE_FOLLOWING));
    let mut seen = match newest {
        Some(count) => show_newest(context, &mut live, since, count).await?,
        None => show_all(context, &mut live, since).await?,
    };
    if !args.follow && seen == since {
        context.terminal.status("No events.");
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        live.wait().await;
        seen = show_all(context, &mut live, seen).await?;
    }
}

/// Shows all events after a number; returns the last number that is known now.
async fn show_all(context: &Context, live: &mut Live<'_>, since: u64) -> Result<u64, CliError> {
    let mut seen = since;
    loop {
        let events = live.events(seen).await?;
        if events.is_empty() {
            return Ok(seen);
        }
        tell_of_a_gap(context, seen, &events);
        for event in events {
            seen = event.seq;
            context.terminal.show_next(&EventLine(event))?;
        }
    }
}

/// Shows the newest so many after a number; returns the last number that is known now.
async fn show_newest(
    context: &Context,
    live: &mut Live<'_>,
    since: u64,
    count: usize,
) -> Result<u64, CliError> {
    // Where the newest number is known, what goes long before it need not be read.
    let before = live.newest_event().await.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
    let mut seen = since.max(before);
    let mut newest: VecDeque<Event> = VecDeque::new();
    loop {
        let events = live.events(seen).await?;
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

/// Numbers have no holes: what is missing is no longer kept.
fn tell_of_a_gap(context: &Context, seen: u64, events: &[Event]) {
    let Some(first) = events.first().filter(|_| seen > 0) else { return };
    let missing = first.seq.saturating_sub(seen).saturating_sub(1);
    if missing > 0 {
        context.terminal.warning(&format!("{missing} events after {seen} are no longer kept"));
    }
}
