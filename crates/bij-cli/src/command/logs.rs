//! `bij logs`: the output of experiments.

use bij_core::port::{AttemptScan, DefinitionSource as _};
use bij_core::{Attempt, AttemptNumber, ExperimentId, RunNumber};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::args::IdArg;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::log_source::{LogFilter, LogSource, kept_lines};
use crate::{complete, time_arg};

/// The text below `bij logs --help`.
const HELP: &str = "\
Times are written as in journalctl: \"2026-11-23 22:00\", \"22:00\", now, today, yesterday,
-90s, \"1 hour ago\", or RFC 3339. `bij logs ID 100` is `bij logs ID -n 100`.";

/// The arguments of `bij logs`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct LogsArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(super) ids: Vec<IdArg>,
    /// Continue with new lines as they are written
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Show the newest N lines only
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) lines: Option<usize>,
    /// Show lines from this time on
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) since: Option<String>,
    /// Show lines up to this time
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Show one attempt of the newest run, or of the run given by --run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Show one run only
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    run: Option<u32>,
    /// Show lines that match a regular expression; without capitals in it, case is ignored
    #[arg(short, long, value_name = "PATTERN")]
    grep: Option<String>,
}

/// The number of lines before those that `--follow` waits for, as in `journalctl -f`.
const LINES_BEFORE_FOLLOW: usize = 10;

/// Shows lines, and with `--follow` continues until it is interrupted.
pub(super) async fn logs(context: &Context, args: &LogsArgs) -> Result<(), CliError> {
    let filter = log_filter(context, args).await?;
    let source = LogSource::new(context);
    if args.follow {
        return source.follow(&filter, |row| context.terminal.show_next(&row));
    }
    let mut has_lines = false;
    source.read(&filter, |row| {
        has_lines = true;
        context.terminal.show_next(&row)
    })?;
    if !has_lines {
        context.terminal.status("No lines.");
    }
    report_missing_lines(context, &source, &filter, has_lines).await
}

/// Warns about lines that are missing in the journal, and shows the lines that are kept with the evidence of an
/// attempt without lines there.
async fn report_missing_lines(
    context: &Context,
    source: &LogSource,
    filter: &LogFilter,
    has_lines: bool,
) -> Result<(), CliError> {
    let is_narrowed = filter.grep.is_some() || filter.since.is_some() || filter.until.is_some();
    let attempts = match (&filter.attempts, filter.ids.as_slice()) {
        (Some(attempts), _) => attempts.clone(),
        (None, [id]) if !has_lines && !is_narrowed => {
            context.history().await?.tally(id).await?.last.into_iter().collect()
        }
        (None, _) => Vec::new(),
    };
    for attempt in &attempts {
        let Some(missing) = source.missing(context, attempt)? else { continue };
        context.terminal.warning(&missing.text);
        context.terminal.hint(missing.hint);
        let kept = kept_lines(attempt);
        if !has_lines && !is_narrowed && !kept.is_empty() {
            context.terminal.status("The last lines before its end, kept with its evidence:");
            kept.iter().try_for_each(|row| context.terminal.show_next(row))?;
        }
    }
    Ok(())
}

async fn log_filter(context: &Context, args: &LogsArgs) -> Result<LogFilter, CliError> {
    let (ids, lines) = ids_and_lines(context, args);
    for id in &ids {
        context.must_exist(id).await?;
    }
    let format = context.terminal.format();
    let time = |text: &Option<String>| {
        let parse = |text: &String| time_arg::parse(text, format.now, format.zone.get());
        let time = text.as_ref().map(parse).transpose();
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
    Ok(LogFilter {
        newest: lines.or(args.follow.then_some(LINES_BEFORE_FOLLOW)),
        since,
        until,
        attempts,
        grep: args.grep.clone(),
        boot: format.boot.clone(),
        ids,
    })
}

/// Returns the ids and the number of lines. In the older tool's form `logs ID 100` the last id is a number that is not
/// defined as an experiment.
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

/// Returns one or all attempts of a run; of the newest run if none is given.
async fn attempts(
    context: &Context,
    ids: &[ExperimentId],
    run: Option<u32>,
    attempt: Option<u32>,
) -> Result<Vec<Attempt>, CliError> {
    let [id] = ids else {
        return Err(CliError::new(Kind::Usage, "--attempt and --run need exactly one ID"));
    };
    let history = context.history().await?;
    let run = match run {
        Some(run) => Some(RunNumber(run)),
        None => history.tally(id).await?.last.map(|last| last.run.number),
    };
    let mut attempts = Vec::new();
    let scan = AttemptScan { experiment: Some(id.clone()), run, after: None };
    let mut pieces = history.scan(scan, usize::MAX);
    while let Some(piece) = pieces.next().await? {
        let is_meant =
            |known: &Attempt| attempt.is_none_or(|number| known.number == AttemptNumber(number));
        attempts.extend(piece.into_iter().filter(is_meant));
    }
    if attempts.is_empty() {
        let what = attempt.map_or_else(|| "run".to_owned(), |number| format!("attempt {number}"));
        return Err(CliError::new(Kind::NotFound, format!("{id} has no such {what}"))
            .hint(format!("see `{} history {id}`", context.bij_command)));
    }
    Ok(attempts)
}
