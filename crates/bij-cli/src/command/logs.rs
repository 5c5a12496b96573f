//! `bij logs`: what experiments wrote.

use bij_core::port::{AttemptScan, DefinitionSource as _};
use bij_core::{Attempt, AttemptNumber, ExperimentId, RunNumber};

use crate::args::{IdArg, LogsArgs};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::log_source::{LogSource, Wanted, kept_lines};
use crate::when;

/// As many lines as `journalctl -f` begins with.
const BEFORE_FOLLOWING: usize = 10;

/// Shows lines, and with `--follow` goes on until it is interrupted.
pub(crate) async fn logs(context: &Context, args: &LogsArgs) -> Result<(), CliError> {
    let wanted = wanted(context, args).await?;
    let source = LogSource::of(context);
    if args.follow {
        return source.follow(&wanted, |row| context.terminal.show_next(&row));
    }
    let mut any = false;
    source.read(&wanted, |row| {
        any = true;
        context.terminal.show_next(&row)
    })?;
    if !any {
        context.terminal.status("No lines.");
    }
    tell_missing(context, &source, &wanted, any).await
}

/// Says which lines are no longer in the journal, and shows what was kept of an attempt that has none there.
async fn tell_missing(
    context: &Context,
    source: &LogSource,
    wanted: &Wanted,
    any: bool,
) -> Result<(), CliError> {
    let narrowed = wanted.grep.is_some() || wanted.since.is_some() || wanted.until.is_some();
    let attempts = match (&wanted.attempts, wanted.ids.as_slice()) {
        (Some(attempts), _) => attempts.clone(),
        (None, [id]) if !any && !narrowed => {
            context.past().await?.tally(id).await?.last.into_iter().collect()
        }
        (None, _) => Vec::new(),
    };
    for attempt in &attempts {
        let Some(missing) = source.missing(context, attempt)? else { continue };
        context.terminal.warning(&missing.text);
        context.terminal.hint(missing.hint);
        let kept = kept_lines(attempt);
        if !any && !narrowed && !kept.is_empty() {
            context.terminal.status("The last lines before its end, kept with its evidence:");
            kept.iter().try_for_each(|row| context.terminal.show_next(row))?;
        }
    }
    Ok(())
}

async fn wanted(context: &Context, args: &LogsArgs) -> Result<Wanted, CliError> {
    let (ids, lines) = ids_and_lines(context, args);
    for id in &ids {
        context.must_exist(id).await?;
    }
    let format = context.terminal.format();
    let time = |text: &Option<String>| {
        let read = |text: &String| when::parse(text, format.now, format.zone.get());
        let time = text.as_ref().map(read).transpose();
        time.map_err(|error| CliError::new(Kind::Usage, error.to_string()))
    };
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        return Err(CliError::new(Kind::Usage, "--since must not be after --until"));
    }
    let attempts = match (args.run, args.attempt) {
        (None, None) => None,
        (run, attempt) => Some(attempts(context, &ids, run, attempt).await?),
    };
    Ok(Wanted {
        newest: lines.or(args.follow.then_some(BEFORE_FOLLOWING)),
        since,
        until,
        attempts,
        grep: args.grep.clone(),
        boot: format.boot.clone(),
        ids,
    })
}

/// The older tool's form `logs ID 100`: a number behind an id that nobody has defined as an
/// experiment is a number of lines.
fn ids_and_lines(context: &Context, args: &LogsArgs) -> (Vec<ExperimentId>, Option<usize>) {
    let mut ids: Vec<ExperimentId> = args.ids.iter().map(|IdArg(id)| id.clone()).collect();
    if args.lines.is_some() || ids.len() < 2 {
        return (ids, args.lines);
    }
    let last = ids.last().filter(|last| context.definitions().find(last).is_err());
    let lines = last.and_then(|last| last.as_str().parse().ok());
    if lines.is_some() {
        ids.pop();
    }
    (ids, lines)
}

/// The attempts that are meant: of the newest run, unless a run is named.
async fn attempts(
    context: &Context,
    ids: &[ExperimentId],
    run: Option<u32>,
    attempt: Option<u32>,
) -> Result<Vec<Attempt>, CliError> {
    let [id] = ids else {
        return Err(CliError::new(Kind::Usage, "--attempt and --run need exactly one ID"));
    };
    let past = context.past().await?;
    let run = match run {
        Some(run) => Some(RunNumber(run)),
        None => past.tally(id).await?.last.map(|last| last.run.number),
    };
    let mut attempts = Vec::new();
    let scan = AttemptScan { experiment: Some(id.clone()), run, after: None };
    let mut pieces = past.scan(scan, usize::MAX);
    while let Some(piece) = pieces.next().await? {
        let is_meant =
            |known: &Attempt| attempt.is_none_or(|number| known.number == AttemptNumber(number));
        attempts.extend(piece.into_iter().filter(is_meant));
    }
    if attempts.is_empty() {
        let what = attempt.map_or_else(|| "run".to_owned(), |number| format!("attempt {number}"));
        return Err(CliError::new(Kind::NotFound, format!("{id} has no such {what}"))
            .hint(format!("see `{} history {id}`", context.again)));
    }
    Ok(attempts)
}
