//! `bij history`: attempts and what each ended of.

use bij_core::port::AttemptQuery;
use bij_core::{ExperimentId, RunNumber};
use bij_store::Reader;

use crate::args::{HistoryArgs, IdArg};
use crate::context::Context;
use crate::error::CliError;
use crate::past::Past;
use crate::view::{History, HistoryPiece, HistoryRuler};

/// Shows attempts, oldest first.
pub(crate) async fn history(context: &Context, args: &HistoryArgs) -> Result<(), CliError> {
    let past = context.past().await?;
    if let (Past::Ledger(reader), None, [] | [_]) = (&*past, args.newest, args.ids.as_slice()) {
        return stream(context, reader, args).await;
    }
    let query = |experiment: Option<ExperimentId>| AttemptQuery {
        experiment,
        run: args.run.map(RunNumber),
        newest: args.newest,
        ..AttemptQuery::default()
    };
    let history = match args.ids.as_slice() {
        [] => History::of_several(past.attempts(&query(None)).await?),
        [IdArg(id)] => {
            let attempts = past.attempts(&query(Some(id.clone()))).await?;
            if attempts.is_empty() {
                context.must_exist(id).await?;
            }
            History::of_one(attempts)
        }
        ids => {
            let mut attempts = Vec::new();
            for IdArg(id) in ids {
                attempts.extend(past.attempts(&query(Some(id.clone()))).await?);
            }
            History::of_several(attempts)
        }
    };
    if history.is_empty() {
        context.terminal.status("No attempts.");
    }
    context.terminal.show(&history)
}

/// Shows a whole history, which can have a million attempts: they are read twice, first to measure the
/// columns, and never kept.
async fn stream(context: &Context, reader: &Reader, args: &HistoryArgs) -> Result<(), CliError> {
    let id = args.ids.first().map(|IdArg(id)| id);
    let pieces = || {
        let pieces = reader.attempt_chunks(id.cloned(), args.run.map(RunNumber));
        pieces.map(move |piece| {
            let piece = piece?;
            let named = id.is_none();
            Ok::<_, CliError>(if named {
                History::of_several(piece)
            } else {
                History::of_one(piece)
            })
        })
    };
    let terminal = context.terminal;
    if terminal.json() {
        let mut is_empty = true;
        let shown = pieces().inspect(|_| is_empty = false);
        terminal.show_pieces(shown.map(|piece| piece.map(HistoryPiece::from)))?;
        return if is_empty { nothing(context, id).await } else { Ok(()) };
    }
    let mut ruler = HistoryRuler::new(terminal.format());
    for piece in pieces() {
        ruler.measure(&piece?);
    }
    let mut left = ruler.count();
    if left == 0 {
        return nothing(context, id).await;
    }
    let mut fitted = ruler.fit();
    terminal.show_pieces(pieces().map(|piece| {
        piece.map(|mut piece: History| {
            // What has begun since was not measured.
            piece.truncate(left);
            left -= piece.len();
            fitted.next(piece)
        })
    }))
}

/// Tells that there is no attempt.
async fn nothing(context: &Context, id: Option<&ExperimentId>) -> Result<(), CliError> {
    if let Some(id) = id {
        context.must_exist(id).await?;
    }
    context.terminal.status("No attempts.");
    Ok(())
}
