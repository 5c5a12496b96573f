//! `bij list`: experiments, one per line.

use crate::context::Context;
use crate::error::CliError;
use crate::facts;
use crate::view::{List, Status};
use crate::waiting_runs;

/// Lists every experiment that is defined or known to the manager.
pub(crate) async fn list(context: &Context) -> Result<(), CliError> {
    let mut all = facts::read_all(context).await?;
    waiting_runs::add(context, &mut all).await;
    let list = List(all.into_iter().map(Status::new).collect());
    let count = list.0.len();
    context.terminal.show(&list)?;
    if !context.terminal.is_json() {
        let noun = if count == 1 { "experiment" } else { "experiments" };
        context.terminal.status(&format!("{count} {noun} listed."));
    }
    Ok(())
}
