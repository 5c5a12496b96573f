//! `bij history`: attempts, each with its cause and the evidence.

use bij_core::ExperimentId;
use bij_core::port::AttemptScan;
use bij_core::{Attempt, RunNumber};

use crate::args::{HistoryArgs, IdArg};
use crate::context::Context;
use crate::error::CliError;
use crate::history_source::HistorySource;
use crate::view::{History, HistoryPiece, HistoryRuler};

/// A stretch of the history.
struct Stretch {
    scan: AttemptScan,
    at_most: usize,
}

/// Shows attempts, oldest first.
///
/// A history can have a million attempts, so no more than a piece is in memory. For a table they are read
/// twice, first to measure the columns.
pub(crate) async fn history(context: &Context, args: &HistoryArgs) -> Result<(), CliError> {
    let history = context.history().await?;
    let mut stretches = stretches(&history, args).await?;
    let rows = match args.ids.as_slice() {
        [_] => History::of_one,
        [] | [_, _, ..] => History::of_several,
    };
    let terminal = context.terminal;
    let mut table = if terminal.is_json() {
        None
    } else {
        let ruler = HistoryRuler::new(terminal.format());
        Some(measure(&history, &mut stretches, ruler, rows).await?.fit())
    };
    let mut shown = terminal.pieces();
    let mut is_empty = true;
    for Stretch { scan, at_most } in stretches {
        let mut pieces = history.scan(scan, at_most);
        while let Some(piece) = pieces.next().await? {
            is_empty = false;
            let piece = rows(piece);
            shown.show(&match &mut table {
                Some(table) => table.next(piece),
                None => HistoryPiece::from(piece),
            })?;
        }
    }
    if is_empty {
        if let [IdArg(id)] = args.ids.as_slice() {
            context.must_exist(id).await?;
        }
        terminal.status("No attempts.");
    }
    shown.end()
}

/// Decides where to begin: in the whole history, or in that of each experiment.
async fn stretches(history: &HistorySource, args: &HistoryArgs) -> Result<Vec<Stretch>, CliError> {
    let ids: Vec<Option<ExperimentId>> = match args.ids.as_slice() {
        [] => vec![None],
        ids => ids.iter().map(|IdArg(id)| Some(id.clone())).collect(),
    };
    let mut stretches = Vec::new();
    for experiment in ids {
        let mut scan = AttemptScan { experiment, run: args.run.map(RunNumber), after: None };
        if let Some(newest) = args.newest {
            let before = history.newest_attempt(scan.experiment.as_ref(), scan.run, newest).await?;
            scan.after = before.map(|attempt| attempt.key);
        }
        stretches.push(Stretch { scan, at_most: args.newest.unwrap_or(usize::MAX) });
    }
    Ok(stretches)
}

/// Measures the columns, and ends each stretch with the last attempt that was measured.
async fn measure(
    history: &HistorySource,
    stretches: &mut [Stretch],
    mut ruler: HistoryRuler,
    rows: fn(Vec<Attempt>) -> History,
) -> Result<HistoryRuler, CliError> {
    for Stretch { scan, at_most } in stretches {
        let mut pieces = history.scan(scan.clone(), *at_most);
        *at_most = 0;
        while let Some(piece) = pieces.next().await? {
            *at_most += piece.len();
            ruler.measure(&rows(piece));
        }
    }
    Ok(ruler)
}
