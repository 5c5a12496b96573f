//! `bij why`: why a run waits.

use crate::args::{RunArg, WhyArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::queue_source::QueueSource;
use crate::view::WhyPage;

/// Shows one run, its closed gates, and the runs that go first.
pub(super) async fn why(context: &Context, args: &WhyArgs) -> Result<(), CliError> {
    let RunArg(run) = &args.run;
    let source = QueueSource::choose(context).await?;
    let why = source.why(run).await?;
    context.terminal.show(&WhyPage(why))?;
    super::warn_about_coordinator(context, source.status().await?.as_ref());
    Ok(())
}
