//! `bij queue`: the runs that are not over.

use bij_core::request::QueueQuery;

use crate::args::QueueArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::queue_source::QueueSource;
use crate::view::{QueueList, capacity_line};

/// Lists the runs that are up, then the others in starting order.
pub(super) async fn list(context: &Context, args: &QueueArgs) -> Result<(), CliError> {
    let query = QueueQuery {
        experiment: args.experiment(),
        group: args.group.clone(),
        state: args.state,
        skip: 0,
    };
    let source = QueueSource::choose(context).await?;
    let list = QueueList(source.queue(&query).await?);
    let status = source.status().await?;
    context.terminal.show(&list)?;
    if !context.terminal.is_json() {
        let capacity = status.as_ref().map(|status| format!(" {}", capacity_line(status)));
        context.terminal.status(&format!("{}{}", list.summary(), capacity.unwrap_or_default()));
    }
    super::warn_about_coordinator(context, status.as_ref());
    Ok(())
}
