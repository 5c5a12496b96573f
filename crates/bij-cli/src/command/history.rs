//! `bij history`: attempts, each with its cause and the evidence.

use bij_core::port::AttemptQuery;
use bij_core::{ExperimentId, RunNumber};
use bij_store::Reader;

use crate::args::{HistoryArgs, IdArg};
use crate::context::Context;
use crate::error::CliError;
use crate::history_source::HistorySource;
use crate::view::{History, HistoryPiece, HistoryRuler};

/// Shows attempts, oldest first.
pub(crate) async fn history(context: &Context, args: &HistoryArgs) -> Result<(), CliError> {
    let source = context.history().await?;
    if let (HistorySource::Ledger(reader), None, [] | [_]) =
        (&*source, args.newest, args.ids.as_slice())
    {
        return stream(context, reader, args).await;
    }
    let query = |experiment: Option<ExperimentId>| AttemptQuery {
        experiment,
        run: args.run.map(RunNumber),
        newest: args.newest,
        ..AttemptQuery::default()
    };
    let history = match args.ids.as_slice() {
        [] => History::of_several(source.attempts(&query(None)).await?),
        [IdArg(id)] => {
            let attempts = source.attempts(&query(Some(id.clone()))).await?;
            if attempts.is_empty() {
                context.must_exist(id).await?;
            }
            History::of_one(attempts)
        }
        ids => {
            let mut attempts = Vec::new();
            for IdArg(id) in ids {
                attempts.extend(source.attempts(&query(Some(id.clone()))).await?);
            }
            History::of_several(attempts)
        }
    };
    if history.is_empty() {
        context.terminal.status("No attempts.");
    }
    context.terminal.show(&history)
}

/// Shows a whole history, which can have a million attempts. It is read twice, the first time to measure the
/// columns, and never held in memory.
async fn stream(context: &Context, reader: &Reader, args: &HistoryArgs) -> Result<(), CliError> {
    let id = args.ids.first().map(|IdArg(id)| id);
    let pieces = || {
        let pieces = reader.pieces(id.cloned(), args.run.map(RunNumber));
        pieces.map(move |piece| {
            let piece = piece?;
            Ok::<_, CliError>(if id.is_none() {
                History::of_several(piece)
            } else {
                History::of_one(piece)
            })
        })
    };
    let terminal = context.terminal;
    if terminal.is_json() {
        let mut is_empty = true;
        let shown = pieces().inspect(|_| is_empty = false);
        terminal.show_pieces(shown.map(|piece| piece.map(HistoryPiece::from)))?;
        return if is_empty { report_no_attempts(context, id).await } else { Ok(()) };
    }
    let mut ruler = HistoryRuler::new(terminal.format());
    for piece in pieces() {
        ruler.measure(&piece?);
    }
    let mut left = ruler.count();
    if left == 0 {
        return report_no_attempts(context, id).await;
    }
    let mut fitted = ruler.fit();
    terminal.show_pieces(pieces().map(|piece| {
        piece.map(|mut piece: History| {
            // Attempts that have begun since were not measured.
            piece.truncate(left);
            left -= piece.len();
            fitted.next(piece)
        })
    }))
}

/// Reports that there are no attempts; fails if the experiment does not exist.
async fn report_no_attempts(context: &Context, id: Option<&ExperimentId>) -> Result<(), CliError> {
    if let Some(id) = id {
        context.must_exist(id).await?;
    }
    context.terminal.status("No attempts.");
    Ok(())
}
