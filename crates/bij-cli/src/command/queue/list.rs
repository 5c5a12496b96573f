//! `bij queue`: the runs that are not over.

use bij_api::message::QueueQuery;

use crate::args::QueueArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::source::Source;
use crate::view::QueueList;

/// Lists runs in starting order, those that are up first.
pub(super) async fn list(context: &Context, args: &QueueArgs) -> Result<(), CliError> {
    let query = QueueQuery {
        experiment: args.experiment(),
        group: args.group.clone(),
        state: args.state,
        skip: 0,
    };
    let list = QueueList(Source::of(context).await?.queue(&query).await?);
    context.terminal.show(&list)?;
    if !context.terminal.json() {
        context.terminal.status(&list.summary());
    }
    Ok(())
}
