//! `bij history`: attempts and what each ended of.

use bij_core::port::AttemptQuery;
use bij_core::{ExperimentId, RunNumber};

use crate::args::{HistoryArgs, IdArg};
use crate::context::Context;
use crate::error::CliError;
use crate::view::History;

/// Shows attempts, oldest first.
pub(crate) async fn history(context: &Context, args: &HistoryArgs) -> Result<(), CliError> {
    let past = context.past().await?;
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
