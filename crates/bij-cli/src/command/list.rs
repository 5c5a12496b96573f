//! `bij list`: experiments, one a line.

use crate::context::Context;
use crate::error::CliError;
use crate::facts;
use crate::view::{List, Status};

/// Lists every experiment that is defined or known to the manager.
pub(crate) async fn list(context: &Context) -> Result<(), CliError> {
    let list = List(facts::of_all(context).await?.into_iter().map(Status::new).collect());
    let count = list.0.len();
    context.terminal.show(&list)?;
    if !context.terminal.json() {
        let noun = if count == 1 { "experiment" } else { "experiments" };
        context.terminal.status(&format!("{count} {noun} listed."));
    }
    Ok(())
}
