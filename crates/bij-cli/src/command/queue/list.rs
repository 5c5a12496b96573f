//! `bij queue`: the runs that are not over.

use bij_api::message::QueueQuery;

use crate::args::QueueArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::source::Source;
use crate::view::{QueueList, taken};

/// Lists runs in starting order, those that are up first.
pub(super) async fn list(context: &Context, args: &QueueArgs) -> Result<(), CliError> {
    let query = QueueQuery {
        experiment: args.experiment(),
        group: args.group.clone(),
        state: args.state,
        skip: 0,
    };
    let source = Source::of(context).await?;
    let list = QueueList(source.queue(&query).await?);
    let status = source.status().await?;
    context.terminal.show(&list)?;
    if !context.terminal.json() {
        let taken = status.as_ref().map(|status| format!(" {}", taken(status)));
        context.terminal.status(&format!("{}{}", list.summary(), taken.unwrap_or_default()));
    }
    super::warn(context, status.as_ref());
    Ok(())
}
