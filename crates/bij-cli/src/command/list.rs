//! `bij list`: experiments, one a line.

use crate::context::Context;
use crate::error::CliError;
use crate::facts;
use crate::queued;
use crate::view::{List, Status};

/// Lists every experiment that is defined or known to the manager.
pub(crate) async fn list(context: &Context) -> Result<(), CliError> {
    let mut all = facts::of_all(context).await?;
    queued::look(context, &mut all).await;
    let list = List(all.into_iter().map(Status::new).collect());
    let count = list.0.len();
    context.terminal.show(&list)?;
    if !context.terminal.json() {
        let noun = if count == 1 { "experiment" } else { "experiments" };
        context.terminal.status(&format!("{count} {noun} listed."));
    }
    Ok(())
}
