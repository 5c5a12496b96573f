//! `bij events`: every change of the queue.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};

use bij_core::queue::{Event, EventKind};
use clap::Args;

use crate::context::Context;
use crate::error::CliError;
use crate::queue_source::QueueWatch;
use crate::view::{TextFormat, Tone, View, time, visible};

/// The arguments of `bij events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Show the events after the one with this number
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// Continue with new events as they happen
    #[arg(short, long)]
    follow: bool,
    /// Show the newest N events only; 10 with --follow and without --since
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
}

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
            context.terminal.show_next(&event)?;
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
        context.terminal.show_next(&event)?;
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

/// One event is a line.
impl View for Event {
    /// Writes the time as `journalctl -o short-iso` does, the number, the kind, the run, and the data.
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let Self { seq, at, kind, experiment, run, attempt, data } = self;
        let kind = format.paint(tone(*kind, data.contains_key("crash")), kind.as_str());
        write!(out, "{} {seq} {kind}", time::iso(*at, format))?;
        match (experiment, run) {
            (Some(experiment), Some(run)) => write!(out, " {experiment}#{run}")?,
            (Some(experiment), None) => write!(out, " {experiment}")?,
            (None, _) => {}
        }
        if let Some(attempt) = attempt {
            write!(out, " attempt={attempt}")?;
        }
        for (key, value) in data {
            write!(out, " {}={}", visible(key), word(value))?;
        }
        writeln!(out)
    }
}

/// Returns a value as one word, in quotation marks if it needs them.
fn word(value: &str) -> Cow<'_, str> {
    let quoted = value.is_empty() || value.contains([' ', '"', '=']);
    let value = visible(value);
    if quoted { format!("\"{}\"", value.replace('"', "\\\"")).into() } else { value }
}

fn tone(kind: EventKind, crash: bool) -> Tone {
    match kind {
        EventKind::QueueLost | EventKind::ActionFailed => Tone::Bad,
        EventKind::AttemptEnded if crash => Tone::Bad,
        EventKind::StartSkipped | EventKind::Held | EventKind::Paused | EventKind::Heat => {
            Tone::Busy
        }
        EventKind::AttemptBegun => Tone::Good,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bij_core::{AttemptNumber, RunNumber};
    use insta::{assert_json_snapshot, assert_snapshot};

    use super::*;

    fn event(seq: u64, kind: EventKind, run: Option<&str>, data: &[(&str, &str)]) -> Event {
        let run: Option<bij_core::RunId> = run.map(|run| run.parse().unwrap());
        let data: BTreeMap<String, String> =
            data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Event {
            seq,
            at: "2026-11-23T22:08:05Z".parse().unwrap(),
            kind,
            experiment: run.as_ref().map(|run| run.experiment.clone()),
            run: run.as_ref().map(|run| run.number),
            attempt: (kind == EventKind::AttemptEnded).then_some(AttemptNumber(2)),
            data,
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_its_data() {
        let events = [
            event(41, EventKind::Submitted, Some("x#3"), &[("by", "alice (uid 1000)")]),
            event(
                42,
                EventKind::AttemptEnded,
                Some("x#3"),
                &[("cause", "oom-kill"), ("crash", "true")],
            ),
            event(43, EventKind::Paused, None, &[("by", "bob"), ("group", "night")]),
            event(
                44,
                EventKind::Health,
                Some("x#3"),
                &[("text", "\u{1b}[2Jno step\nsince \"then\"")],
            ),
        ];
        let mut out = Vec::new();
        for event in &events {
            event.text(&mut out, &TextFormat::for_test()).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), events.len());
        assert_snapshot!(text);
        assert_json_snapshot!(events);
        let alone = event(45, EventKind::Reloaded, None, &[]);
        assert_eq!((alone.run, alone.experiment), (None::<RunNumber>, None));
    }
}
